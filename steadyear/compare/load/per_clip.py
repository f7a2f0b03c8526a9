"""Read the per-clip table and turn its columns into arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steadyear.compare.scores.tasks import REGRESSION, TASKS, TaskReport
from steadyear.foundation.records import ROBUSTNESS, RecordMetadata

ERRORS: Final = ("clean_error", "attacked_error")


def read_table(path: Path) -> tuple[pa.Table, RecordMetadata]:
    """Read a ``robustness.parquet`` and what its numbers stand for.

    Raises:
        ValueError: If the file is damaged, empty, of an unknown task, or lacks a column or its
            names.
    """
    table, names = ROBUSTNESS.read(path)
    if names.task not in {None, *TASKS}:
        raise ValueError(f"{path} is of task {names.task!r}; compare knows {', '.join(TASKS)}.")
    if not task_of_table(names).mean_over_clips:
        ROBUSTNESS.require(table, ERRORS, path)
    return table, names


def task_of_table(names: RecordMetadata) -> TaskReport:
    """The task of a table; those that do not say are of regression."""
    return REGRESSION if names.task is None else TASKS[names.task]


def column(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Numbers or booleans of one column.

    Args:
        table: The per-clip table.
        name: Name of the column.

    Returns:
        Values, shape (rows,); null becomes NaN.
    """
    values = [np.nan if value is None else value for value in table[name].to_pylist()]
    return np.asarray(values, dtype=np.float64)


def matrix(table: pa.Table, name: str, width: int, path: Path) -> NDArray[np.float64]:
    """Lists of one column as an array.

    Args:
        table: The per-clip table.
        name: Name of a column of lists.
        width: Expected length of every list.
        path: File to name in an error.

    Returns:
        Values, shape (rows, width).

    Raises:
        ValueError: If a list is missing or has another length.
    """
    lists = table[name].combine_chunks()
    if lists.null_count or pc.any(pc.not_equal(pc.list_value_length(lists), width)).as_py():
        raise ValueError(
            f"{path} must hold {width} values in every row of {name!r}; run `steadyear test` again."
        )
    values = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64).reshape(table.num_rows, width)


def optional_matrix(
    table: pa.Table, name: str, width: int, path: Path
) -> NDArray[np.float64] | None:
    """Like :func:`matrix`, but ``None`` if every row is null."""
    if table[name].null_count == table.num_rows:
        return None
    return matrix(table, name, width, path)


def concept_matrix(
    table: pa.Table, name: str, names: RecordMetadata, path: Path
) -> NDArray[np.float64] | None:
    """Like :func:`optional_matrix`, with one value per concept of ``names``.

    Also ``None`` if the values are units of a bottleneck that were not learned from labels and so are
    no concepts. A table that does not say is believed to hold such units where their number is not
    that of the concepts.
    """
    width = len(names.concepts)
    lists = table[name].combine_chunks()
    others = pc.all(pc.not_equal(pc.list_value_length(lists), width)).as_py()
    if names.supervised_concepts is False or (names.supervised_concepts is None and others):
        return None
    return optional_matrix(table, name, width, path)
