"""Contributions in the comparison: read, checked, averaged and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyear.compare import Summary, compare
from steadyear.compare.tables.damage import MOST_PARTS, along, find_damage
from tests.steadyear.compare_runs import CONCEPTS, TARGETS, write_run

GRID = (("pgd", 0.1), ("noise", 0.1))
UNITS = ("unit 0", "unit 1", "unit 2")
SYSTEMS = {
    "a2e": ("melody", "minor", "remainder"),
    "a2b2e": UNITS,
    "a2m2e": ("melody", "minor"),
    "imported": (),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("damage")
    for seed in (0, 1):
        for system, parts in SYSTEMS.items():
            write_run(root / "runs", system, seed, grid=GRID, parts=parts)
    return root, compare([root / "runs"], root / "report")


def pgd(folder: Path, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Contributions and change of the headline attack, straight from the file."""
    rows = pq.read_table(folder / "robustness.parquet").to_pandas()
    rows = rows[rows["attack"] == "pgd"].sort_values("index")
    change = np.stack(rows["attacked_prediction"]) - np.stack(rows["clean_prediction"])
    return np.stack(rows["contributions"]).reshape(*change.shape, parts), change


def test_numbers_are_those_of_the_tables(report: tuple[Path, Summary]) -> None:
    root, _ = report
    found = json.loads((root / "report" / "summary.json").read_text(encoding="utf-8"))["damage"]
    assert [each["label"] for each in found] == ["a2b2e", "a2e", "a2m2e"]
    (system,) = (each for each in found if each["label"] == "a2e")
    assert system["parts"] == list(SYSTEMS["a2e"])
    assert {part: r2["mean"] for part, r2 in system["probe_r2"].items()} == {
        "melody": 0.5,
        "minor": 0.5,
    }
    for seed in (0, 1):
        values, change = pgd(root / "runs" / "demo" / f"a2e-seed{seed}", 3)
        for row, target in enumerate(TARGETS[:2]):
            numbers = system["targets"][target]
            for place, part in enumerate(SYSTEMS["a2e"]):
                each = {kind: value["values"][str(seed)] for kind, value in numbers[part].items()}
                assert each["mean"] == pytest.approx(values[:, row, place].mean())
                assert each["mean_size"] == pytest.approx(np.abs(values[:, row, place]).mean())
            for kind, whole in (("mean", change), ("along_change", np.abs(change))):
                total = sum(numbers[part][kind]["values"][str(seed)] for part in numbers)
                assert total == pytest.approx(whole[:, row].mean(), abs=1e-6)


def test_bars_of_a_clip_sum_to_its_mean_change(report: tuple[Path, Summary]) -> None:
    root, summary = report
    (damage,) = (each for each in find_damage(summary) if each.system.label == "a2m2e")
    runs = [pgd(root / "runs" / "demo" / f"a2m2e-seed{seed}", 2)[1] for seed in (0, 1)]
    expected = np.abs(np.stack(runs)).mean(axis=(0, 2))
    np.testing.assert_allclose(damage.per_clip().sum(axis=1), expected, atol=1e-6)


def test_contributions_count_in_the_direction_of_the_change() -> None:
    values = np.array([[[1.0, -3.0], [2.0, 1.0]]])
    np.testing.assert_array_equal(along(values), [[[-1.0, 3.0], [2.0, 1.0]]])


def test_units_are_ranked_in_every_seed_because_their_numbers_mean_nothing(
    report: tuple[Path, Summary],
) -> None:
    root, summary = report
    (damage,) = (each for each in find_damage(summary) if each.system.label == "a2b2e")
    assert damage.parts == ("rank 1", "rank 2", "rank 3")
    for seed, values in damage.by_seed.items():
        size = np.abs(values).mean(axis=(0, 1))
        assert (np.diff(size) <= 0).all()
        written, _ = pgd(root / "runs" / "demo" / f"a2b2e-seed{seed}", 3)
        assert sorted(size) == pytest.approx(sorted(np.abs(written).mean(axis=(0, 1))))


def test_units_of_one_seed_keep_their_numbers(tmp_path: Path) -> None:
    write_run(tmp_path, "a2b2e", grid=GRID, parts=UNITS)
    (damage,) = find_damage(compare([tmp_path], tmp_path / "report"))
    assert damage.parts == UNITS


def test_small_parts_of_a_wide_bottleneck_are_summed(tmp_path: Path) -> None:
    parts = [f"unit {i}" for i in range(20)]
    folder = write_run(tmp_path, "a2b2e", grid=GRID, parts=parts)
    (damage,) = find_damage(compare([tmp_path], tmp_path / "report"))
    assert len(damage.parts) == MOST_PARTS
    assert damage.parts[-1] == "9 others"
    _, change = pgd(folder, 20)
    np.testing.assert_allclose(damage.by_seed[0].sum(axis=2), change, atol=1e-5)


def test_the_page_has_a_section(report: tuple[Path, Summary]) -> None:
    root, _ = report
    text = (root / "report" / "index.html").read_text(encoding="utf-8")
    section = text.split("<h2>Attribution of the damage</h2>")[1].split("<h2>")[0]
    assert section.count("<img") == 1
    assert section.count("<h3>") == 3
    for words in (
        "melody",
        "remainder",
        "rank 2",
        "melody 0.50, minor 0.50",
        "differ from seed to seed",
    ):
        assert words in section, words
    assert (root / "report" / "damage.png").read_bytes().startswith(b"\x89PNG")
    # Systems without contributions stay in every other table.
    assert "demo/imported-seed0" in text


def test_tables_without_the_column_are_read_and_have_no_section(tmp_path: Path) -> None:
    write_run(tmp_path / "new", parts=("a", "b"), grid=GRID)
    write_run(tmp_path / "old", concepts=CONCEPTS, grid=GRID)
    compare([tmp_path / "new"], tmp_path / "report")
    compare([tmp_path / "old"], tmp_path / "report")
    assert not (tmp_path / "report" / "damage.png").exists()
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Attribution of the damage" not in text
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["damage"] == []


def test_a_seed_without_the_column_is_left_out_of_the_means(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0, grid=GRID)
    write_run(tmp_path, seed=1, grid=GRID, parts=("a", "b"))
    (damage,) = find_damage(compare([tmp_path], tmp_path / "report"))
    assert list(damage.by_seed) == [1]


def rewrite(path: Path, change: float | None = None, width: int | None = None) -> None:
    table = pq.read_table(path)
    lists = table["contributions"].to_pylist()
    if change is not None:
        lists[3][0] += change
    lists = [each[:width] for each in lists]
    place = table.column_names.index("contributions")
    column = pa.array(lists, pa.list_(pa.float64()))
    pq.write_table(table.set_column(place, "contributions", column), path)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"change": 1e-3}, "its contributions do not sum to the attacked minus the clean"),
        ({"change": float("nan")}, "do not sum"),
        ({"width": 3}, "must hold 4 values in every row of 'contributions'"),
    ],
)
def test_wrong_contributions_are_refused(
    tmp_path: Path, broken: dict[str, Any], message: str
) -> None:
    path = write_run(tmp_path, parts=("a", "b"), grid=GRID) / "robustness.parquet"
    rewrite(path, **broken)
    with pytest.raises(ValueError, match=message) as error:
        compare([tmp_path], tmp_path / "report")
    assert str(path) in str(error.value)
    assert not (tmp_path / "report").exists()


def test_rounding_is_no_error(tmp_path: Path) -> None:
    path = write_run(tmp_path, parts=("a", "b"), grid=GRID) / "robustness.parquet"
    rewrite(path, 5e-6)
    compare([tmp_path], tmp_path / "report")


def test_seeds_with_different_parts_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0, grid=GRID, parts=("a", "b"))
    write_run(tmp_path, seed=1, grid=GRID, parts=("a", "c"))
    with pytest.raises(ValueError, match="seed1 are one system, but have different parts"):
        compare([tmp_path], tmp_path / "report")
    assert not (tmp_path / "report").exists()
