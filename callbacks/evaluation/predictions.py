"""What a model predicts, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from steadyear.attacks import prediction_of
from steadyear.callbacks.evaluation.base import ClipEvaluation, Stage
from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.records.metadata import metadata_of


class PredictionTable(ClipEvaluation):
    """Writes ``predictions.csv`` at ``predict``: one row per clip, one column per output.

    Columns carry the data module's names of targets, and ``concepts/<name>`` for a bottleneck.
    """

    stages = ("predict",)

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Forget the rows of an earlier prediction."""
        self._rows = []

    def evaluate(self, trainer: Trainer, module: LightningModule, batch: Any, outputs: Any) -> None:
        """Keep the predictions of a batch."""
        metadata = metadata_of(trainer)
        prediction = prediction_of(outputs)
        index = self.clip_numbers(trainer, batch, len(prediction))
        columns: dict[str, list[Any]] = {"index": index.tolist()}
        columns |= _columns(prediction, metadata.targets, "")
        if isinstance(concepts := getattr(outputs, "concepts", None), Tensor):
            columns |= _columns(concepts, metadata.concepts, "concepts/")
        rows = zip(*columns.values(), strict=True)
        self._rows += [dict(zip(columns, row, strict=True)) for row in rows]

    def finish(self, trainer: Trainer, module: LightningModule, stage: Stage) -> None:
        """Write the table, each clip once."""
        rows = from_all_processes(self._rows)
        if not trainer.is_global_zero:
            return
        metadata = metadata_of(trainer)
        table = pd.DataFrame(rows).drop_duplicates("index").sort_values("index")
        table.insert(0, "clip", [metadata.clip(index) for index in table.pop("index")])
        path = Path(trainer.default_root_dir) / "predictions.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
        rank_zero_info(f"Wrote the predictions of {len(table)} clips to {path}")


def _columns(values: Tensor, names: Any, prefix: str) -> dict[str, list[float]]:
    labels = names if len(names) == values.shape[-1] else range(values.shape[-1])
    columns = values.detach().float().cpu().T.tolist()
    return {f"{prefix}{name}": column for name, column in zip(labels, columns, strict=True)}
