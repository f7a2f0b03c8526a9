"""Gathering over processes."""

from __future__ import annotations

from typing import Any

import torch.distributed


def from_all_processes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of all processes on every process; a single process gets its own back."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    parts: list[list[dict[str, Any]]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]
