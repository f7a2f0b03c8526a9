"""The table of a corruption evaluation: one row per clip, corruption and severity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from steadyear.callbacks.records.clip_table import ClipTable, listed
from steadyear.foundation.records import CORRUPTIONS, RecordMetadata
from steadyear.foundation.task import ClipMeasure, per_clip_error

_AS_ATTACK = {
    "corruption": "attack",
    "severity": "budget",
    "corrupted_prediction": "attacked_prediction",
    "corrupted_error": "attacked_error",
}


@dataclass
class CorruptionTable(ClipTable):
    """One row per clip, corruption and severity.

    Attributes:
        error: Gives the error of each clip.
    """

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
        return {name: listed(column) for name, column in columns.items()}

    def add(
        self,
        condition: tuple[str, int],
        clean: dict[str, list[Any]],
        target: Tensor,
        prediction: Tensor,
        snr: Tensor,
    ) -> None:
        """Add a corrupted batch.

        Args:
            condition: Name of the corruption, and its severity.
            clean: What ``clean`` gave for the batch.
            target: True values or classes of the clips.
            prediction: Predictions from the corrupted clips, shape (batch, outputs).
            snr: Signal-to-noise ratios in dB, shape (batch,).
        """
        columns = clean | {
            "snr_db": listed(snr),
            "corrupted_prediction": listed(prediction),
            "corrupted_error": listed(self.error(prediction, target)),
        }
        shared = dict(zip(("corruption", "severity"), condition, strict=True))
        self.add_rows(shared, columns)

    def frame(self, metadata: RecordMetadata) -> pd.DataFrame:
        """The rows of all clips, each clip once, ordered by corruption, severity and clip."""
        return CORRUPTIONS.frame(self.rows, metadata)


def as_attacks(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that ``robustness_by_condition`` reads."""
    return frame.drop(columns="snr_db").rename(columns=_AS_ATTACK)
