"""Read the per-clip table and turn its columns into arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steadyear.compare.scores.tasks import REGRESSION, TASKS, Task

COLUMNS: Final = (
    "clip",
    "index",
    "attack",
    "domain",
    "norm",
    "budget",
    "achieved_linf",
    "achieved_l2",
    "snr_db",
    "target",
    "clean_prediction",
    "attacked_prediction",
    "target_concepts",
    "clean_concepts",
    "attacked_concepts",
    "success",
    "gradient_queries",
)
ERRORS: Final = ("clean_error", "attacked_error")
METADATA: Final = b"steadyear"


class Names(NamedTuple):
    """Names of what a system predicts.

    Attributes:
        targets: Names of the outputs.
        concepts: Names of the concepts; empty where the system has none.
        parts: Names of what outputs are sums of; empty where the table does not say.
        minimal_norm: Names of the attacks that minimise the norm.
        part_r2: Share of each concept's variance that a probe explains, where the parts are groups
            of features that it made; else empty.
        task: What the system does; tables that do not say are of regression.
        supervised: Whether the concepts were learned from labels; ``None`` where the table does not
            say. Units that were not have no names.
        decibels: What one z-unit of the spectrogram is in dB, where the table says.
    """

    targets: tuple[str, ...]
    concepts: tuple[str, ...]
    parts: tuple[str, ...] = ()
    minimal_norm: tuple[str, ...] = ()
    part_r2: tuple[float, ...] = ()
    task: Task = REGRESSION
    supervised: bool | None = None
    decibels: float | None = None


def read_table(path: Path) -> tuple[pa.Table, Names]:
    """Read a per-clip table.

    Args:
        path: A ``robustness.parquet``.

    Returns:
        The table, at least one row long, and the names in its metadata.

    Raises:
        ValueError: If the file is damaged, empty, of an unknown task, or lacks a column or its
            names.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); run `steadyear test` again.") from error
    _check_columns(table, COLUMNS, path)
    names = _names(table, path)
    if not names.task.mean_over_clips:
        _check_columns(table, ERRORS, path)
    return table, names


def _check_columns(table: pa.Table, wanted: tuple[str, ...], path: Path) -> None:
    missing = [name for name in wanted if name not in table.column_names]
    if missing or table.num_rows == 0:
        problem = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise ValueError(f"{path} {problem}; run `steadyear test` again.")


def _names(table: pa.Table, path: Path) -> Names:
    try:
        names = json.loads((table.schema.metadata or {})[METADATA])
        targets, concepts = tuple(names["target_names"]), tuple(names["concept_names"] or ())
        keys = ("part_names", "minimal_norm", "part_r2")
        parts, minimal_norm, part_r2 = (tuple(names.get(key) or ()) for key in keys)
        task = str(names.get("task", REGRESSION.name))
        about = names.get("supervised_concepts"), names.get("z_unit_db")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not name its targets and concepts; run `steadyear test` again."
        ) from error
    if task not in TASKS:
        raise ValueError(f"{path} is of task {task!r}; compare knows {', '.join(TASKS)}.")
    return Names(targets, concepts, parts, minimal_norm, part_r2, TASKS[task], *about)


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
    """Like :func:`matrix`, for a column that may be empty.

    Args:
        table: The per-clip table.
        name: Name of a column of lists.
        width: Expected length of every list.
        path: File to name in an error.

    Returns:
        Values, shape (rows, width); ``None`` if every row is null.

    Raises:
        ValueError: If only some lists are missing, or one has another length.
    """
    if table[name].null_count == table.num_rows:
        return None
    return matrix(table, name, width, path)


def concept_matrix(
    table: pa.Table, name: str, names: Names, path: Path
) -> NDArray[np.float64] | None:
    """Like :func:`optional_matrix`, for the concepts of a system.

    Args:
        table: The per-clip table.
        name: Name of a column of lists.
        names: Names of the concepts, and whether they were learned from labels.
        path: File to name in an error.

    Returns:
        Values, shape (rows, concepts); ``None`` if every row is null, or the values are units of a
        bottleneck that were not learned from labels and so are no concepts. A table that does not
        say is believed to hold such units where their number is not that of the concepts.

    Raises:
        ValueError: If only some lists are missing, or one has another length.
    """
    width = len(names.concepts)
    lists = table[name].combine_chunks()
    others = pc.all(pc.not_equal(pc.list_value_length(lists), width)).as_py()
    if names.supervised is False or (names.supervised is None and others):
        return None
    return optional_matrix(table, name, width, path)
