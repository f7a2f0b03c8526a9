"""Read what W&B wrote offline: a LevelDB log of protocol buffers behind a header of seven bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK = 32768
_HEADER = 7
_LAST_OF_RECORD = (1, 4)


def records(path: Path) -> Iterator[Record]:
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    parts, position = b"", _HEADER
    while position + _HEADER <= len(content):
        room = _BLOCK - position % _BLOCK
        if room < _HEADER:
            position += room
            continue
        size = int.from_bytes(content[position + 4 : position + 6], "little")
        kind = content[position + 6]
        position += _HEADER
        parts += content[position : position + size]
        position += size
        if kind in _LAST_OF_RECORD:
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


class OfflineRun:
    """All that a run logged.

    Args:
        folder: Folder ``offline-run-...`` of the run.
    """

    def __init__(self, folder: Path) -> None:
        (file,) = folder.glob("*.wandb")
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        for record in records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
                self._configure(record.run.config)
            elif kind == "config":
                self._configure(record.config)
            elif kind == "history":
                self.history.append(_values(record.history.item))

    def _configure(self, config: Any) -> None:
        self.config |= _values(config.update)

    def last(self, key: str) -> Any:
        return [row for row in self.history if key in row][-1][key]


def _values(items: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        path = list(item.nested_key) or [item.key]
        inner = values
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = json.loads(item.value_json)
    return values
