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
METADATA: Final = b"steadyear"


class Names(NamedTuple):
    """Names of what a system predicts.

    Attributes:
        targets: Names of the outputs.
        concepts: Names of the concepts; empty where the system has none.
    """

    targets: tuple[str, ...]
    concepts: tuple[str, ...]


def read_table(path: Path) -> tuple[pa.Table, Names]:
    """Read a per-clip table.

    Args:
        path: A ``robustness.parquet``.

    Returns:
        The table, at least one row long, and the names in its metadata.

    Raises:
        ValueError: If the file is damaged, empty, or lacks a column or its names.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); run `steadyear test` again.") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing or table.num_rows == 0:
        problem = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise ValueError(f"{path} {problem}; run `steadyear test` again.")
    return table, _names(table, path)


def _names(table: pa.Table, path: Path) -> Names:
    try:
        names = json.loads((table.schema.metadata or {})[METADATA])
        return Names(tuple(names["target_names"]), tuple(names["concept_names"] or ()))
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path} does not name its targets and concepts; run `steadyear test` again."
        ) from error


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
