"""The table of a corruption evaluation: one row per clip, corruption and severity."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from steadyear.callbacks.records.clip_figures import ClipMeasure, per_clip_error
from steadyear.callbacks.records.robustness_table import Names
from steadyear.foundation.atomic_files import atomic_path

_LISTS, _REAL = pa.list_(pa.float64()), pa.float64()
_COLUMNS = {
    "clip": pa.string(),
    "index": pa.int64(),
    "corruption": pa.string(),
    "severity": pa.int64(),
    "snr_db": _REAL,
    "target": _LISTS,
    "clean_prediction": _LISTS,
    "corrupted_prediction": _LISTS,
    "clean_error": _REAL,
    "corrupted_error": _REAL,
}
_AS_ATTACK = {
    "corruption": "attack",
    "severity": "budget",
    "corrupted_prediction": "attacked_prediction",
    "corrupted_error": "attacked_error",
}
_KEYS = ["corruption", "severity", "index"]


@dataclass
class CorruptionTable:
    """Collects corrupted batches and becomes a table.

    Attributes:
        rows: One mapping per clip, corruption and severity.
        error: Gives the error of each clip.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    error: ClipMeasure = per_clip_error

    def clean(self, index: Tensor, target: Tensor, prediction: Tensor) -> dict[str, list[Any]]:
        """Columns of a batch that are the same under every corruption.

        Args:
            index: Stable numbers of the clips, shape (batch,).
            target: True values or classes of the clips.
            prediction: Predictions from the clips without corruption, shape (batch, outputs).
        """
        columns = {
            "index": index,
            "target": target.reshape(len(target), -1),
            "clean_prediction": prediction,
            "clean_error": self.error(prediction, target),
        }
        return {name: _listed(column) for name, column in columns.items()}

    def add(
        self,
        cell: tuple[str, int],
        clean: dict[str, list[Any]],
        target: Tensor,
        prediction: Tensor,
        snr: Tensor,
    ) -> None:
        """Add a corrupted batch.

        Args:
            cell: Name of the corruption, and its severity.
            clean: What ``clean`` gave for the batch.
            target: True values or classes of the clips.
            prediction: Predictions from the corrupted clips, shape (batch, outputs).
            snr: Signal-to-noise ratios in dB, shape (batch,).
        """
        columns = clean | {
            "snr_db": _listed(snr),
            "corrupted_prediction": _listed(prediction),
            "corrupted_error": _listed(self.error(prediction, target)),
        }
        shared = dict(zip(("corruption", "severity"), cell, strict=True))
        self.rows += [
            shared | dict(zip(columns, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        ]

    def frame(self, names: Names) -> pd.DataFrame:
        """The rows of all clips, each clip once, ordered by corruption, severity and clip."""
        frame = pd.DataFrame(self.rows).drop_duplicates(_KEYS)
        frame["clip"] = [names.clip(index) for index in frame["index"]]
        order = {name: i for i, name in enumerate(dict.fromkeys(frame["corruption"]))}
        frame = frame.sort_values(
            _KEYS, key=lambda c: c.map(order) if c.name == "corruption" else c
        )
        return frame[list(_COLUMNS)].reset_index(drop=True)


def as_attacks(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that ``robustness_scores`` reads.

    Args:
        frame: What ``CorruptionTable.frame`` gave.
    """
    return frame.drop(columns="snr_db").rename(columns=_AS_ATTACK)


def write_corruptions(frame: pd.DataFrame, names: Names, path: Path) -> None:
    """Write a table so that it is there whole or not at all.

    Args:
        frame: What ``CorruptionTable.frame`` gave.
        names: What the numbers stand for; kept in the file's metadata.
        path: Where to write it.
    """
    meaning: dict[str, Any] = {"target_names": list(names.targets)}
    if names.task:
        meaning["task"] = names.task
    schema = pa.schema(list(_COLUMNS.items()), {"steadyear": json.dumps(meaning)})
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    with atomic_path(path) as partial:
        pq.write_table(table.replace_schema_metadata(schema.metadata), partial)


def _listed(column: Tensor) -> list[Any]:
    values = column.detach().cpu()
    return list((values.double() if values.is_floating_point() else values).tolist())
