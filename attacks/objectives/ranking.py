"""Objectives on the order of a clip's labels, which lower average precision and top-k.

A clip without present labels has no order to disturb, nor one without absent labels. Its value is 0,
or the decision threshold, logit 0, stands in for the missing side, as each objective says. The
surrogate of class-wise average precision, which ranks the clips of a batch, is no objective
here: its value of one clip would depend on the others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.objectives.multilabel import MultiLabelObjective, present

_TINY = 1e-20


class PairwiseRanking(MultiLabelObjective):
    """Logistic loss over all pairs of a present and an absent label, averaged.

    A surrogate of one minus the average precision of a clip. Its value is 0 where there is no pair.
    """

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean over the pairs of log(1 + exp(absent logit - present logit))."""
        shown = present(target)
        number = shown.sum(1)
        # Present labels are few: all pairs of thousands of classes would not fit into memory.
        most = int(number.max())
        first = shown.byte().argsort(dim=1, descending=True)[:, :most]
        pair = shown.gather(1, first)[:, :, None] & ~shown[:, None, :]
        loss = F.softplus(prediction[:, None, :] - prediction.gather(1, first)[:, :, None])
        pairs = number * (shown.shape[1] - number)
        return torch.where(pair, loss, 0.0).sum(2).sum(1) / pairs.clamp_min(1)


class MultiLabelDLR(MultiLabelObjective):
    """Largest logit of an absent label against the smallest of a present one, free of their scale.

    The multi-label form of the difference of logits ratio: the difference of the two logits divided
    by the standard deviation of the clip's logits. The decision threshold stands in for the missing
    side.
    """

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Ratio per clip."""
        shown = present(target)
        softest = _or_zero(prediction.masked_fill(~shown, torch.inf).amin(1))
        loudest = _or_zero(prediction.masked_fill(shown, -torch.inf).amax(1))
        return (loudest - softest) / _spread(prediction)


class _WrongSide(MultiLabelObjective):
    """Base of smooth counts of logits on the wrong side of zero, whatever their scale.

    Args:
        sharpness: How steep the count is at zero. Above 0.

    Raises:
        ValueError: If the sharpness is not above 0.
    """

    def __init__(self, sharpness: float) -> None:
        if not sharpness > 0:
            raise ValueError(f"The sharpness of {type(self).__name__} is above 0, not {sharpness}.")
        self.sharpness = sharpness

    def wrong_and_spread(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """How far each logit is on the wrong side, and the spread of each clip's logits."""
        wrong = torch.where(present(target), -prediction, prediction)
        # A constant, or the cheapest way up would be to shrink the spread itself.
        return wrong, _spread(prediction.detach())[:, None]


class ScaleFreeHinge(_WrongSide):
    """Flip as many labels as possible, first those that are nearest to their threshold.

    Mean over the labels of ``softplus(k w / s) / k``, where w is how far a logit is on the wrong side
    of zero and s the standard deviation of the clip's logits: a smooth hinge, or a binary
    cross-entropy that does not depend on the scale of the logits.

    Args:
        sharpness: The k; the larger, the more the nearest label counts alone. Above 0.
    """

    def __init__(self, sharpness: float = 4.0) -> None:
        super().__init__(sharpness)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean smooth hinge per clip."""
        wrong, spread = self.wrong_and_spread(prediction, target)
        return F.softplus(wrong / spread, beta=self.sharpness).mean(1)


class WrongLabels(_WrongSide):
    """How many labels are wrong, made smooth.

    Mean over the labels of the logistic function of ``k w / s``, where w is how far a logit is on the
    wrong side of zero and s the standard deviation of the clip's logits. Unlike a hinge it does not
    go on pushing labels that have flipped already, so that more of them flip.

    Args:
        sharpness: The k; the larger, the nearer the value is to the share of wrong labels. Above 0.
    """

    def __init__(self, sharpness: float = 8.0) -> None:
        super().__init__(sharpness)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Smooth share of wrong labels per clip."""
        wrong, spread = self.wrong_and_spread(prediction, target)
        return (self.sharpness * wrong / spread).sigmoid().mean(1)


class TopK(MultiLabelObjective):
    """Push every present label out of the k most likely ones (TkML-AP, arXiv 2108.00146).

    The k-th largest logit among the absent labels minus the largest among the present ones; the
    attack succeeds where it is above 0. A clip without present labels, or with fewer than k absent
    ones, has value 0 and cannot be attacked.

    Args:
        k: Number of most likely labels that count.

    Raises:
        ValueError: If k is below 1.
    """

    def __init__(self, k: int = 1) -> None:
        if k < 1:
            raise ValueError(f"TopK needs at least k=1, not {k}.")
        self.k = k

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not multi-hot, and models without k other labels."""
        super().check(prediction, target)
        if prediction.shape[1] <= self.k:
            raise ValueError(
                f"TopK(k={self.k}) needs more than {self.k} labels, and the model has "
                f"{prediction.shape[1]}."
            )

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Difference of the two logits per clip."""
        shown = present(target)
        possible = shown.any(1) & ((~shown).sum(1) >= self.k)
        kth = prediction.masked_fill(shown, -torch.inf).topk(self.k).values[:, -1]
        largest = prediction.masked_fill(~shown, -torch.inf).amax(1)
        return torch.where(possible, kth, 0.0) - torch.where(possible, largest, 0.0)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """The value itself."""
        return self(prediction, target)


def _or_zero(logit: Tensor) -> Tensor:
    return torch.where(logit.isfinite(), logit, 0.0)


def _spread(prediction: Tensor) -> Tensor:
    # Inside of the root, whose slope at zero is infinite.
    return (prediction.var(1, correction=0) + _TINY).sqrt()
