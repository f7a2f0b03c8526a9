"""Read what each part of a model adds to the change of its predictions, and check that it adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from steadyear.compare.load.per_clip import optional_matrix
from steadyear.foundation.records import RecordMetadata

TOLERANCE: Final = 1e-5
"""Relative to the largest number involved, where that is above one."""

Floats = NDArray[np.float64]


def read_contributions(
    rows: pa.Table, names: RecordMetadata, clean: Floats, attacked: Floats, path: Path
) -> Floats | None:
    """Read the contributions of one attack at one budget.

    Args:
        rows: Rows of the per-clip table.
        names: RecordMetadata of targets and parts.
        clean: Outputs without attack, shape (clips, targets).
        attacked: Attacked outputs, shape (clips, targets).
        path: File to name in an error.

    Returns:
        Contributions, shape (clips, targets, parts); ``None`` in tables without them.

    Raises:
        ValueError: If their number is wrong, or they do not sum to attacked minus clean.
    """
    if "contributions" not in rows.column_names:
        return None
    width = len(names.targets) * len(names.parts)
    values = optional_matrix(rows, "contributions", width, path)
    if values is None:
        return None
    parts = values.reshape(*clean.shape, -1)
    sizes = [np.abs(parts).sum(axis=2), np.abs(clean), np.abs(attacked), np.ones(clean.shape)]
    departure = np.abs(parts.sum(axis=2) - (attacked - clean)) / np.maximum.reduce(sizes)
    # Not `departure > TOLERANCE`: NaN must not pass.
    if not (departure <= TOLERANCE).all():
        raise ValueError(
            f"{path} is wrong: its contributions do not sum to the attacked minus the clean "
            f"prediction (they miss it by up to {departure.max():.1g}); run `steadyear test` again."
        )
    return parts
