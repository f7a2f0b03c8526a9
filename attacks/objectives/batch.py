"""Objectives of a whole batch: which lower metrics that rank or correlate the clips of a data set.

Every clip of the batch has the same value, that of the batch, so the batch is attacked as one: what is
kept is kept for all of its clips. Figures under such an attack depend on which clips share a batch;
report them apart from those of attacks on single clips.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.objectives.multilabel import MultiLabelObjective, present
from steadyear.attacks.objectives.regression import RegressionObjective

_LEAST_FOR_R = 3  # two clips correlate perfectly, whatever is predicted
_STEEPNESS = 3.0  # of the comparison of two logits, in standard deviations of their class
_TINY = 1e-20


class BatchCorrelation(RegressionObjective):
    """Undo the correlation of predictions and targets across the clips of the batch.

    Minus Pearson's r of each attacked output, averaged over the outputs. An output whose target or
    prediction is the same for all clips has no r and counts as 0. Against the model's own prediction
    it is flat without an attack, so an attack needs a target or a random start. It needs three
    clips, because two always have an r of 1 or -1.

    Args:
        output: Position of the only output to attack; ``None`` attacks all of them.
        tolerance: The attack succeeds, for the whole batch, when the mean r falls by more than this.
    """

    couples_clips: ClassVar[bool] = True

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets of another shape or type, and fewer than three clips."""
        super().check(prediction, target)
        _check_clips(self, prediction, _LEAST_FOR_R)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Minus the mean correlation, the same for every clip."""
        ours, true = (self.chosen(values).flatten(1) for values in (prediction, target))
        r = F.cosine_similarity(ours - ours.mean(0), true - true.mean(0), dim=0)
        return -r.mean().repeat(len(ours))

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Fall of the mean correlation minus the tolerance, the same for every clip."""
        return self(prediction, target) - (self(clean, target) + self.tolerance)


class ClassRanking(MultiLabelObjective):
    """Rank clips without a label before clips with it, which lowers cmAP.

    One minus a smooth average precision of each class over the clips of the batch (Smooth-AP, Brown
    et al., 2020, arXiv 2007.12163), averaged over the classes that some clips of the batch have and
    others do not. Logits are divided by their standard deviation over the batch, class by class, so
    that their scale does not matter. A batch without such a class has value 0. Rare classes count in
    those batches only where they occur: attack large batches.

    Args:
        tolerance: The attack succeeds, for the whole batch, when the value grows by more than this.
    """

    couples_clips: ClassVar[bool] = True

    def __init__(self, tolerance: float = 0.1) -> None:
        self.tolerance = tolerance

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not multi-hot, and a single clip."""
        super().check(prediction, target)
        _check_clips(self, prediction, 2)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One minus the mean smooth average precision, the same for every clip."""
        shown = present(target)
        mixed = shown.any(0) & ~shown.all(0)
        # All pairs of clips for thousands of classes would not fit into memory.
        precision = _smooth_precision(prediction[:, mixed], shown[:, mixed])
        missing = (1 - precision).sum() / mixed.sum().clamp_min(1)
        return missing.repeat(len(prediction))

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Growth of the value minus the tolerance, the same for every clip."""
        return self(prediction, target) - (self(clean, target) + self.tolerance)


def _smooth_precision(logits: Tensor, shown: Tensor) -> Tensor:
    """Average precision of each class with sigmoids for steps, shape (classes,)."""
    spread = (logits.var(0, correction=0) + _TINY).sqrt()
    sharp = _STEEPNESS * logits / spread
    # Entry (i, j, class): how far clip j stands before clip i.
    before = (sharp[None] - sharp[:, None]).sigmoid()
    before = before * ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)[:, :, None]
    rank = 1 + before.sum(1)
    rank_among_shown = 1 + (before * shown[None]).sum(1)
    return torch.where(shown, rank_among_shown / rank, 0.0).sum(0) / shown.sum(0)


def _check_clips(objective: object, prediction: Tensor, least: int) -> None:
    if len(prediction) < least:
        raise ValueError(
            f"{type(objective).__name__} compares the clips of a batch and needs at least {least} of "
            f"them, not {len(prediction)}: choose a batch size that leaves no smaller rest."
        )
