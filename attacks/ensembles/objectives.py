"""Objectives that only the members of an ensemble need; the ensemble makes their targets."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.objectives.base import Objective


class TargetedLogitSum(Objective):
    """Sum of the logits times a sign for each: 1 is up, -1 is down, 0 leaves it free."""

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Nothing to check: the ensemble makes the target."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Weighted sum per clip."""
        return (prediction * target).sum(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """The value itself."""
        return self(prediction, target)


class LossBeyondSuccess(Objective):
    """A loss of labels where a decision has changed, and elsewhere how near that is.

    The loss is not negative and the distance is not positive, so no loss is worth giving success
    up for. The target holds labels and clean logits, shape (clips, 2, classes).

    Args:
        loss: The loss.
    """

    def __init__(self, loss: Objective) -> None:
        self.loss = loss

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Nothing to check: the ensemble makes the target."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss with success, margin without."""
        labels, clean = target.unbind(1)
        margin = self.loss.margin(prediction, clean, labels)
        return torch.where(margin > 0, self.loss(prediction, labels), margin)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """That of the loss."""
        return self.loss.margin(prediction, clean, target[:, 0])
