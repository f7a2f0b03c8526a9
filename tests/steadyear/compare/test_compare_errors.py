from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from steadyear.compare import compare
from tests.steadyear.compare_runs import CONCEPTS, write_run


def refuse(paths: list[Path], match: str, error: type[Exception] = ValueError) -> None:
    out = paths[0] / "report"
    with pytest.raises(error, match=match):
        compare(paths, out)
    assert not out.exists()


def test_a_folder_without_runs(tmp_path: Path) -> None:
    refuse([tmp_path], "holds no run.json", FileNotFoundError)
    refuse([tmp_path / "nowhere"], "nowhere is not a folder", FileNotFoundError)


def test_a_run_that_was_not_tested(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (folder / "robustness.parquet").unlink()
    refuse(
        [folder], "a2e-seed0 holds no robustness.parquet; run `steadyear test`", FileNotFoundError
    )
    refuse([tmp_path], "a2e-seed0 was left out", FileNotFoundError)


def test_an_unfinished_neighbour_is_left_out_with_a_warning(tmp_path: Path) -> None:
    write_run(tmp_path, "a2e", grid=[("pgd", 0.1)])
    folder = write_run(tmp_path, "aa2e")
    (folder / "robustness.parquet").unlink()
    summary = compare([tmp_path], tmp_path / "report")
    assert [each.label for each in summary.systems] == ["a2e"]
    assert "aa2e-seed0 was left out" in summary.warnings[0]


def test_a_run_named_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid=[("pgd", 0.1)])
    summary = compare([folder, tmp_path, folder], tmp_path / "report")
    assert summary.systems[0].group.seeds == (0,)


def test_a_torn_table(tmp_path: Path) -> None:
    path = write_run(tmp_path) / "robustness.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refuse([tmp_path], "robustness.parquet is damaged")


def test_a_table_without_a_column_or_names(tmp_path: Path) -> None:
    path = write_run(tmp_path) / "robustness.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["success"]), path)
    refuse([tmp_path], "lacks the columns success")
    pq.write_table(table.replace_schema_metadata(None), path)
    refuse([tmp_path], "does not name its targets")


def test_a_table_that_disagrees_with_its_names(tmp_path: Path) -> None:
    path = write_run(tmp_path) / "robustness.parquet"
    names = json.dumps({"target_names": ["one"], "concept_names": []})
    pq.write_table(pq.read_table(path).replace_schema_metadata({"steadyear": names}), path)
    refuse([tmp_path], "must hold 1 values in every row of 'target'")


def test_a_clip_that_is_missing_or_repeated(tmp_path: Path) -> None:
    path = write_run(tmp_path) / "robustness.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    refuse([tmp_path], "11 clips in 11 rows for noise at 0.01")
    pq.write_table(table.take([0, *range(table.num_rows)]), path)
    refuse([tmp_path], "12 clips in 13 rows for noise at 0.01")


def test_a_norm_whose_order_is_unknown(tmp_path: Path) -> None:
    path = write_run(tmp_path) / "robustness.parquet"
    table = pq.read_table(path)
    column = table.column_names.index("norm")
    norms = table.set_column(column, "norm", [["l7"] * table.num_rows])
    pq.write_table(norms, path)
    refuse([tmp_path], "norm 'l7'")


@pytest.mark.parametrize("facts", ["{", "[]", '{"experiment": "demo", "run": "x", "seed": 0}'])
def test_broken_facts(tmp_path: Path, facts: str) -> None:
    folder = write_run(tmp_path)
    (folder / "run.json").write_text(facts, encoding="utf-8")
    refuse([tmp_path], "run.json")


def test_two_runs_of_one_seed(tmp_path: Path) -> None:
    write_run(tmp_path, name="first")
    write_run(tmp_path, name="second")
    refuse([tmp_path], "first and .*second are both seed 0 of system 'a2e'")


def test_runs_on_other_clips_targets_or_data(tmp_path: Path) -> None:
    first = write_run(tmp_path, "a")
    refuse([first, write_run(tmp_path, "b", clips=10)], r"different clips \(12 and 10, 10 shared\)")
    refuse([first, write_run(tmp_path, "c", targets=["one", "two"])], "predict different targets")
    refuse([first, write_run(tmp_path, "d", data_seed=1)], "different true targets")


def test_one_system_with_two_sets_of_concepts(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0, concepts=CONCEPTS)
    write_run(tmp_path, seed=1)
    refuse([tmp_path], "one system with different concepts")


def test_out_is_a_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        compare([folder], folder / "run.json")
