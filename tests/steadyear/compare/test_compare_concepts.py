"""Units of a bottleneck that were not learned from labels are no concepts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyear.compare import Summary, compare
from steadyear.compare.load.find import find_runs
from steadyear.compare.load.groups import group
from steadyear.compare.load.runs import read_run
from steadyear.compare.statistics.summary import summarize
from tests.steadyear.compare_runs import CONCEPTS, write_run

GRID = [("pgd", 0.1)]


def say(folder: Path, **meaning: object) -> None:
    """Add to what a table says about itself."""
    path = folder / "robustness.parquet"
    table = pq.read_table(path)
    names = json.loads(table.schema.metadata[b"steadyear"]) | meaning
    pq.write_table(table.replace_schema_metadata({"steadyear": json.dumps(names)}), path)


def narrow(folder: Path, width: int = 2) -> None:
    """Keep some units only."""
    path = folder / "robustness.parquet"
    table = pq.read_table(path)
    for name in ("clean_concepts", "attacked_concepts"):
        place = table.column_names.index(name)
        units = pa.array([each[:width] for each in table[name].to_pylist()])
        table = table.set_column(place, name, units)
    pq.write_table(table, path)


def numbers(root: Path) -> Summary:
    """The comparison without its files."""
    return summarize(group([read_run(folder) for folder in find_runs([root])[0]]))


def concepts_of(summary: Summary) -> dict[str, list[str]]:
    """Concepts that the comparison shows, by system."""
    return {
        each.label: list(each.attacked[summary.headline].concept_change) for each in summary.systems
    }


@pytest.mark.parametrize("width", [5, 2])
def test_units_without_labels_are_left_out(tmp_path: Path, width: int) -> None:
    write_run(tmp_path, "a2m2e", concepts=CONCEPTS, grid=GRID)
    units = write_run(tmp_path, "a2b2e", concepts=CONCEPTS, grid=GRID)
    narrow(units, width)
    say(units, supervised_concepts=False)
    summary = compare([tmp_path], tmp_path / "report")
    assert concepts_of(summary) == {"a2b2e": [], "a2m2e": list(CONCEPTS)}
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    found = re.search(r"<h2>Concepts</h2>.*?</table>", page, re.DOTALL)
    assert found is not None
    assert "a2m2e" in found[0]
    assert "a2b2e" not in found[0]


def test_a_table_that_does_not_say_is_judged_by_the_number_of_units(tmp_path: Path) -> None:
    write_run(tmp_path, "a2m2e", concepts=CONCEPTS, grid=GRID)
    narrow(write_run(tmp_path, "a2b2e", concepts=CONCEPTS, grid=GRID))
    summary = numbers(tmp_path)
    assert concepts_of(summary) == {"a2b2e": [], "a2m2e": list(CONCEPTS)}


def test_units_on_data_without_concepts(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "a2b2e", concepts=CONCEPTS, grid=GRID)
    path = folder / "robustness.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("target_concepts")
    empty = pa.nulls(table.num_rows, table.schema.field(place).type)
    pq.write_table(table.set_column(place, "target_concepts", empty), path)
    say(folder, concept_names=[])
    assert concepts_of(numbers(tmp_path)) == {"a2b2e": []}


def test_concepts_with_labels_must_fit_their_names(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "a2m2e", concepts=CONCEPTS, grid=GRID)
    narrow(folder)
    say(folder, supervised_concepts=True)
    with pytest.raises(ValueError, match="must hold 5 values in every row of 'clean_concepts'"):
        numbers(tmp_path)
