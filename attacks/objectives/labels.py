"""Objectives on decisions about labels: flip any, hide those that are there, show others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.objectives.multilabel import MultiLabelObjective, present


class LabelMargin(MultiLabelObjective):
    """How far the logit of the most wrong label is on the wrong side of zero.

    The multi-label form of the margin of Carlini and Wagner: it flips the label that is easiest to
    flip, and no other.
    """

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Largest signed logit per clip."""
        return torch.where(present(target), -prediction, prediction).amax(1)


class ShowLabels(MultiLabelObjective):
    """Make the model claim labels of the attacker's choice: a false alarm.

    The value is the negative binary cross-entropy of these labels to being present, summed. The
    attack succeeds where all of them have a logit above zero.

    Args:
        labels: Numbers of the labels.

    Raises:
        ValueError: If there is none, or a negative one.
    """

    def __init__(self, labels: Sequence[int]) -> None:
        if not labels or min(labels) < 0:
            raise ValueError("ShowLabels needs numbers of labels, from 0.")
        self.labels = list(labels)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not multi-hot, and labels that do not exist."""
        super().check(prediction, target)
        _check_labels(self, self.labels, prediction)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum of the labels' log-probabilities, per clip."""
        return F.logsigmoid(prediction[:, self.labels]).sum(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Smallest logit of the labels."""
        return prediction[:, self.labels].amin(1)

    def attacker_target(self, prediction: Tensor) -> Tensor:
        """The model's own decisions, with the labels shown.

        Args:
            prediction: Logits without attack, shape (batch, classes).
        """
        return _decisions(prediction, self.labels, 1.0)


class HideLabels(MultiLabelObjective):
    """Make the model miss labels: a false negative.

    The value is the negative binary cross-entropy of these labels to being absent, summed. The
    attack succeeds where none of them has a logit above zero. A clip that has no such label in its
    target has value 0 and cannot be attacked.

    Args:
        labels: Numbers of the labels; ``None`` stands for all.

    Raises:
        ValueError: If an empty list is given, or a negative label.
    """

    def __init__(self, labels: Sequence[int] | None = None) -> None:
        if labels is not None and (not labels or min(labels) < 0):
            raise ValueError("HideLabels needs numbers of labels, from 0, or None for all.")
        self.labels = None if labels is None else list(labels)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not multi-hot, and labels that do not exist."""
        super().check(prediction, target)
        _check_labels(self, self.labels or [0], prediction)

    def _chosen(self, target: Tensor) -> Tensor:
        if self.labels is None:
            return present(target)
        named = torch.zeros_like(target, dtype=torch.bool)
        named[:, self.labels] = True
        return named & present(target)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum of the labels' log-probabilities of being absent, per clip."""
        return torch.where(self._chosen(target), F.logsigmoid(-prediction), 0.0).sum(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Negative largest logit of the labels; a logit of zero is hidden."""
        chosen = self._chosen(target)
        largest = prediction.masked_fill(~chosen, -torch.inf).amax(1)
        margin = torch.finfo(prediction.dtype).tiny - largest
        return torch.where(chosen.any(1), margin, 0.0)

    def attacker_target(self, prediction: Tensor) -> Tensor | None:
        """The model's own decisions with the labels hidden; ``None`` if no labels are named.

        Args:
            prediction: Logits without attack, shape (batch, classes).
        """
        return None if self.labels is None else _decisions(prediction, self.labels, 0.0)


def _decisions(prediction: Tensor, labels: list[int], value: float) -> Tensor:
    decisions = (prediction > 0).to(prediction.dtype)
    decisions[:, labels] = value
    return decisions


def _check_labels(objective: object, labels: list[int], prediction: Tensor) -> None:
    if max(labels) >= prediction.shape[1]:
        raise ValueError(
            f"{type(objective).__name__} names label {max(labels)}, and the model has "
            f"{prediction.shape[1]} labels."
        )
