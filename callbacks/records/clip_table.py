"""The base of tables that grow batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class ClipTable:
    """Collects batches as rows.

    Attributes:
        rows: One mapping per clip and condition.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add_rows(self, shared: Mapping[str, Any], columns: Mapping[str, list[Any]]) -> None:
        """Add a row per clip: what all of them share, and each one's values."""
        self.rows += [
            {**shared, **dict(zip(columns, row, strict=True))}
            for row in zip(*columns.values(), strict=True)
        ]


def listed(column: Tensor) -> list[Any]:
    """One plain value per clip of a column, in double precision."""
    values = column.detach().cpu()
    return list((values.double() if values.is_floating_point() else values).tolist())
