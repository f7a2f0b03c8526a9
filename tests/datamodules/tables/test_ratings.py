from __future__ import annotations

from pathlib import Path

import pytest
import torch

from steadyear.datamodules.tables.ratings import RatingTable

ROWS = [["number", "valence", "TARGET"], ["001", "4.83", "HIGH VALENCE"], ["010", "1.00", "SAD"]]


def _write(path: Path, delimiter: str = ",", end: str = "\n", bom: str = "") -> Path:
    path.write_bytes((bom + "".join(delimiter.join(row) + end for row in ROWS)).encode())
    return path


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", ", "])
def test_variants_read_the_same(tmp_path: Path, delimiter: str, end: str, bom: str) -> None:
    table = RatingTable(_write(tmp_path / "t.csv", delimiter, end, bom), "number")
    assert table.ids == ["001", "010"]
    assert table.text("TARGET") == ["HIGH VALENCE", "SAD"]
    expected = torch.tensor([[0.483], [0.1]])
    torch.testing.assert_close(table.numbers(["valence"], scale=10), expected)


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,a,b\nx,1,2\ny,3,4\n")
    values = RatingTable(path, "id").numbers(["b", "a"])
    torch.testing.assert_close(values, torch.tensor([[2.0, 1.0], [4.0, 3.0]]))


def test_decimal_comma_between_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id;a\nx;1,5\n")
    assert RatingTable(path, "id").numbers(["a"]).item() == 1.5


def test_missing_column_is_named_beside_those_that_exist(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"t\.csv has no column 'Number'.*number, valence, TARGET"):
        RatingTable(path, "Number")
    with pytest.raises(ValueError, match="no column 'energy'"):
        RatingTable(path, "number").numbers(["energy"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a\nx,1\nx,2\n", "more than once: x"),
        ("id,a\n,1\n", "line 2 has no id"),
        ("id,a\n", "no rows"),
    ],
)
def test_unusable_ids(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        RatingTable(path, "id")


@pytest.mark.parametrize("value", ["", "n/a", "nan", "inf"])
def test_rating_that_is_no_number_names_its_clip(tmp_path: Path, value: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"id,a\nx,1\ny7,{value}\n")
    with pytest.raises(ValueError, match=r"column 'a'.*1 rows.*y7"):
        RatingTable(path, "id").numbers(["a"])


def test_unreadable_tables(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        RatingTable(tmp_path / "none.csv", "id")
    for name, content in (("latin.csv", "id,a\né,1\n".encode("latin-1")), ("empty.csv", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a readable table"):
            RatingTable(path, "id")


def test_published_tables(shared_data: Path) -> None:
    folder = shared_data / "soundtracks"
    names = ["valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender"]
    first = RatingTable(folder / "mean_ratings_set1.csv", "number")
    second = RatingTable(folder / "mean_ratings_set1.tab_variant.csv", "number")
    assert first.ids[:1] == ["001"]
    assert [int(i) for i in first.ids] == [int(i) for i in second.ids] == list(range(1, 361))
    torch.testing.assert_close(first.numbers(names, 10), second.numbers(names, 10))
    concepts = RatingTable(folder / "metadata_annotations" / "annotations.csv", "song_id")
    assert concepts.numbers(["melody", "articulation", "mode"]).shape == (5000, 3)
