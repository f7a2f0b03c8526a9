"""Predictions and targets of all clips, each once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from steadyear.lightning_modules.metrics.repeats import first_of_each


class ClipOutputs(Metric):
    """Collects predictions and targets by clip.

    A distributed sampler repeats clips to fill the last batch; scored by ``index`` the numbers of
    one process and of many are the same.
    """

    full_state_update = False
    is_differentiable = False

    index: list[Tensor]
    prediction: list[Tensor]
    target: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "prediction", "target"):
            self.add_state(name, default=[], dist_reduce_fx="cat")


class ClipPredictions(ClipOutputs):
    """Predictions and targets in one piece."""

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: Predictions, shape (batch, outputs).
            target: True values or one-hot labels, same shape.
            index: Stable numbers of the clips, shape (batch,).
        """
        self.prediction.append(prediction.detach().float())
        self.target.append(target.detach().float())
        self.index.append(index)

    def compute(self) -> Any:
        """Predictions and targets of every clip once, in the order of the index.

        Returns:
            Both, shape (2, clips, outputs).
        """
        index, prediction, target = (
            _joined(state) for state in (self.index, self.prediction, self.target)
        )
        position = first_of_each(index)
        # One tensor, because torchmetrics squeezes tensors of a single element.
        return torch.stack([prediction[position], target[position]])


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    # After a sync across processes torchmetrics gives one tensor instead of a list.
    return torch.cat(state) if isinstance(state, list) else state
