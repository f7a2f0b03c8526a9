"""Objectives for single-label classifiers: logits (batch, classes) against one class per clip."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.objectives.base import Objective

_TINY = 1e-12


class ClassObjective(Objective):
    """Base of the objectives on one class per clip; success is a wrong class."""

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not one class number per clip."""
        if target.shape != prediction.shape[:1]:
            self._refuse(prediction, target)
        self._check_classes(prediction, target)

    def _check_classes(self, prediction: Tensor, target: Tensor) -> None:
        if (
            prediction.ndim != 2
            or target.dtype != torch.int64
            or not bool(((target >= 0) & (target < prediction.shape[1])).all())
        ):
            self._refuse(prediction, target)

    def _refuse(self, prediction: Tensor, target: Tensor) -> None:
        raise ValueError(
            f"{type(self).__name__} needs logits (batch, classes) and one int64 class from 0 to "
            f"classes - 1 per clip; got {tuple(prediction.shape)} and {tuple(target.shape)} of "
            f"{target.dtype}."
        )

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Largest logit of another class minus that of the target.

        Of equal logits the smallest class counts as the most likely one, as in ``argmax``.
        """
        margin = -lead(prediction, target)
        lost_tie = (margin == 0) & (prediction.argmax(1) != target)
        return margin + lost_tie * torch.finfo(margin.dtype).tiny

    def soft_margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Log-sum-exp of the other classes' logits minus the target's logit.

        Its gradient points where that of the cross-entropy does, and does not vanish for a confident
        model.
        """
        label = target[:, None]
        others = prediction.scatter(1, label, -torch.inf).logsumexp(1)
        return others - prediction.gather(1, label)[:, 0]

    def paths(self) -> list[Callable[[Tensor, Tensor, Tensor], Tensor]]:
        """The soft margin, which sees all classes, then the margin, which follows the next best."""
        return [self.soft_margin, self.margin]


def lead(prediction: Tensor, label: Tensor) -> Tensor:
    """Logit of each clip's class minus the largest of the others, shape (batch,).

    Args:
        prediction: Logits, shape (batch, classes).
        label: Classes, shape (batch,).
    """
    chosen = label[:, None]
    others = prediction.scatter(1, chosen, -torch.inf).max(1).values
    return prediction.gather(1, chosen)[:, 0] - others


class CrossEntropy(ClassObjective):
    """Cross-entropy of a single-label classifier; success is a wrong class."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy per clip."""
        return F.cross_entropy(prediction, target, reduction="none")


class Margin(ClassObjective):
    """Largest logit of another class minus that of the target (Carlini and Wagner, 1608.04644).

    Its gradient does not vanish for a confident model, as that of the cross-entropy does.
    """

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Margin per clip."""
        return -lead(prediction, target)


class DLR(ClassObjective):
    """Difference of logits ratio (Croce and Hein, 2020, arXiv 2003.01690, equation 6).

    The margin divided by the distance of the largest from the third largest logit, so that neither
    the scale of the logits nor a constant added to them matters. It needs three classes.
    """

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not one class number per clip, and fewer than three classes."""
        super().check(prediction, target)
        _check_number(self, prediction, 3)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Ratio per clip, at most 1."""
        first, _, third = prediction.topk(3).values.unbind(1)
        return -lead(prediction, target) / (first - third + _TINY)


class TargetedDLR(ClassObjective):
    """Difference of logits ratio towards a class (Croce and Hein, 2020, equation 7).

    It needs four classes. The attack succeeds where the model says the wanted class.

    Args:
        towards: The class that the attacker wants for every clip. ``None``: the target holds the true
            and the wanted class of each clip, shape (batch, 2).
    """

    def __init__(self, towards: int | None = None) -> None:
        self.towards = towards

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets of another form, wanted classes that do not exist, and three classes."""
        pairs = (len(prediction), 2) if self.towards is None else (len(prediction),)
        if tuple(target.shape) != pairs:
            raise ValueError(
                f"TargetedDLR with towards={self.towards} needs classes of shape {pairs}, not "
                f"{tuple(target.shape)}."
            )
        self._check_classes(prediction, target)
        _check_number(self, prediction, 4)
        if self.towards is not None and not 0 <= self.towards < prediction.shape[1]:
            raise ValueError(
                f"There is no class {self.towards}: the model has {prediction.shape[1]}."
            )

    def _classes(self, target: Tensor) -> tuple[Tensor, Tensor]:
        if self.towards is None:
            return target[:, 0], target[:, 1]
        return target, torch.full_like(target, self.towards)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Ratio per clip."""
        true, wanted = (prediction.gather(1, c[:, None])[:, 0] for c in self._classes(target))
        first, _, third, fourth = prediction.topk(4).values.unbind(1)
        return (wanted - true) / (first - (third + fourth) / 2 + _TINY)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Logit of the wanted class minus the largest other one."""
        wanted = self._classes(target)[1]
        margin = lead(prediction, wanted)
        won_tie = (margin == 0) & (prediction.argmax(1) == wanted)
        return margin + won_tie * torch.finfo(margin.dtype).tiny

    def paths(self) -> list[Callable[[Tensor, Tensor, Tensor], Tensor]]:
        """The margin alone."""
        return [self.margin]


def _check_number(objective: Objective, prediction: Tensor, least: int) -> None:
    if prediction.shape[1] < least:
        raise ValueError(
            f"{type(objective).__name__} needs at least {least} classes, and the model has "
            f"{prediction.shape[1]}: use Margin."
        )
