"""Tables and aims, as the benchmarks of attacks print them and write them down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

Row = Mapping[str, Any]


class Report:
    """What a benchmark found: tables, and aims that are reached or missed.

    Args:
        threads: Number of threads that everything ran with.
    """

    def __init__(self, threads: int) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.aims: list[Row] = []
        self.machine = {
            "threads": threads,
            "torch": torch.__version__,
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        }

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """Keep a table and print it; columns are those of all rows, in the order of appearance."""
        self.tables[title] = list(rows)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        cells = [columns, *([_text(row.get(column, "")) for column in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        print(f"\n{title}")
        for line in cells:
            first, *others = (
                cell.ljust(width) if not i else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            print("  ".join([first, *others]).rstrip())

    def at_most(self, aim: str, found: float, limit: float) -> None:
        """An aim that a figure reaches from below."""
        self._aim(aim, found, "<=", limit, found <= limit)

    def at_least(self, aim: str, found: float, limit: float) -> None:
        """An aim that a figure reaches from above."""
        self._aim(aim, found, ">=", limit, found >= limit)

    def _aim(self, aim: str, found: float, sign: str, limit: float, reached: bool) -> None:
        verdict = "PASS" if reached else "MISS"
        self.aims.append({"aim": aim, "found": found, "limit": limit, "verdict": verdict})
        print(f"{verdict}  {aim}: {_text(found)} {sign} {_text(limit)}")

    def write(self, path: str) -> None:
        """Write everything as JSON and count what was missed."""
        missed = sum(aim["verdict"] == "MISS" for aim in self.aims)
        print(f"\n{len(self.aims) - missed} of {len(self.aims)} aims reached; written to {path}")
        record = {"machine": self.machine, "aims": self.aims, "tables": self.tables}
        Path(path).write_text(json.dumps(record, indent=2) + "\n")


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
