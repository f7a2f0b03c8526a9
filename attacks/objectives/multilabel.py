"""Objectives for multi-label classifiers: logits (batch, classes) against multi-hot targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadyear.attacks.objectives.base import Objective


class MultiLabelObjective(Objective):
    """Base of the objectives on labels that may hold together.

    The attack succeeds when the decision on some label, logit above zero or not, is another one
    than without attack.
    """

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not multi-hot values of the logits' shape."""
        fits = prediction.ndim == 2 and prediction.shape == target.shape
        if not fits or bool(((target < 0) | (target > 1)).any()):
            raise ValueError(
                f"{type(self).__name__} needs logits (batch, classes) and targets from 0 to 1 of the "
                f"same shape; got {tuple(prediction.shape)} and {tuple(target.shape)}."
            )

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """How far the most changed logit stands beyond zero, on the other side."""
        return torch.where(clean > 0, -prediction, prediction).max(1).values


class OutputLoss(MultiLabelObjective):
    """A loss of the outputs, the objective of adversarial training in output space (AT-O).

    Args:
        loss: From logits and targets to one loss per clip, or per label, which is summed over the
            labels; ``None`` stands for binary cross-entropy.
    """

    def __init__(self, loss: nn.Module | None = None) -> None:
        self.loss = nn.BCEWithLogitsLoss(reduction="none") if loss is None else loss

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss per clip.

        Raises:
            ValueError: If the loss is averaged over the batch.
        """
        loss: Tensor = self.loss(prediction, target.to(prediction.dtype))
        if loss.shape[:1] != prediction.shape[:1]:
            raise ValueError(
                f"An attack needs one loss per clip, and {self.loss} gives {tuple(loss.shape)}; "
                "choose its reduction accordingly."
            )
        return loss.flatten(1).sum(1) if loss.ndim > 1 else loss


def present(target: Tensor) -> Tensor:
    """Which labels are there, shape of ``target``, bool: those above one half."""
    return target > 0.5
