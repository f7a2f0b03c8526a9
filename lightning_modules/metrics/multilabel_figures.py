"""Figures of merit for multi-label predictions, computed from clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steadyear.lightning_modules.metrics.clips import Clips, Floats, Mask
from steadyear.lightning_modules.metrics.ranking import (
    Thresholds,
    area_under_roc,
    at_least,
    average_precision,
)

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Rankings:
    """What one sort of each class tells.

    Attributes:
        ap: Average precision of each class, NaN without positives, shape (classes,).
        auroc: Area under the ROC curve of each class, NaN without positives or negatives.
        positives: Number of positives of each class.
        clips: Number of clips.
        micro_ap: Average precision of all labels together, as if of one class; NaN where it was not
            asked for.
    """

    ap: Values
    auroc: Values
    positives: Values
    clips: int
    micro_ap: float

    @property
    def cmap(self) -> float:
        """Mean average precision of the classes that occur; NaN if none does."""
        return _mean(self.ap[self.positives > 0])

    @property
    def mean_auroc(self) -> float:
        """Mean area of the classes that have both positives and negatives; NaN if none has."""
        return _mean(self.auroc[(self.positives > 0) & (self.positives < self.clips)])


def rankings(clips: Clips, micro: bool = False) -> Rankings:
    """Rank the clips of every class.

    Scores that are NaN make the figures of their class NaN, never a number.

    Args:
        clips: Scores and labels.
        micro: Whether to rank all labels together as well, which costs one more search.
    """
    pooled = Thresholds.of(_positives(clips) if micro else np.empty(0))
    reached = np.zeros(len(pooled.values), dtype=np.intp)
    rows, count, broken = [], 0, False
    for scores, given in clips.classes():
        thresholds = Thresholds.of(scores[given])
        scores.sort()
        # A sort puts NaN above every number, so that a diverged model would get a figure.
        undefined = bool(np.isnan(scores[-1:]).any())
        rows.append((*_one_class(thresholds, scores, undefined), thresholds.total))
        count, broken = len(scores), broken or undefined
        if micro:
            reached += at_least(scores, pooled.values)
    aps, areas, positives = (np.array(column) for column in zip(*rows, strict=True))
    micro_ap = float("nan") if broken else average_precision(pooled, reached)
    return Rankings(aps, areas, positives, count, micro_ap)


def _positives(clips: Clips) -> Floats:
    batches = zip(*clips.batches(), strict=True)
    return np.concatenate([scores[given] for scores, given in batches])


def _one_class(
    thresholds: Thresholds, sorted_scores: Floats, undefined: bool
) -> tuple[float, float]:
    if undefined:
        return float("nan"), float("nan")
    reached = at_least(sorted_scores, thresholds.values)
    ap = average_precision(thresholds, reached)
    return ap, area_under_roc(thresholds, sorted_scores)


@dataclass(frozen=True)
class TopHits:
    """Whether the first choice for each clip is right.

    Attributes:
        right: For clips with labels: whether the class with the highest score is among them. For
            others: whether no score reaches the threshold. Shape (clips,), bool.
        labelled: Whether a clip has labels, same shape.
    """

    right: Mask
    labelled: Mask

    @property
    def accuracy(self) -> float:
        """Share of right clips among those with labels; NaN if there are none."""
        return _mean(self.right[self.labelled])

    @property
    def accuracy_with_nocalls(self) -> float:
        """Share of right clips among all."""
        return _mean(self.right)


def top_hits(clips: Clips, threshold: float = 0.0) -> TopHits:
    """Look at the first choice for every clip.

    Args:
        clips: Scores and labels.
        threshold: Smallest score that reports a class.
    """
    right, labelled = [], []
    for scores, given in zip(*clips.batches(), strict=True):
        choice = scores.argmax(1)[:, None]
        highest = np.take_along_axis(scores, choice, 1)[:, 0]
        some = given.any(1)
        hit = np.take_along_axis(given, choice, 1)[:, 0]
        right.append(np.where(some, hit, highest < threshold))
        labelled.append(some)
    return TopHits(np.concatenate(right), np.concatenate(labelled))


def figures(clips: Clips, names: Sequence[str] = ()) -> dict[str, float]:
    """All figures of a set of clips.

    Args:
        clips: Logits and labels.
        names: Names of the classes; with them the average precision of each is given as well.

    Returns:
        ``cmap``, ``auroc``, ``top1`` (clips with labels only), ``top1_with_nocalls`` (a clip without
        labels is right if no class reaches a probability of 0.5) and ``micro_ap``; and
        ``ap/<name>`` for every named class that occurs.

    Raises:
        ValueError: If there is not one name per class.
    """
    found, hits = rankings(clips, micro=True), top_hits(clips)
    scores = {
        "cmap": found.cmap,
        "auroc": found.mean_auroc,
        "top1": hits.accuracy,
        "top1_with_nocalls": hits.accuracy_with_nocalls,
        "micro_ap": found.micro_ap,
    }
    if not names:
        return scores
    if len(names) != len(found.ap):
        raise ValueError(f"There are {len(names)} names for {len(found.ap)} classes.")
    each = zip(names, found.ap, found.positives, strict=True)
    return scores | {f"ap/{name}": float(ap) for name, ap, count in each if count > 0}


def _mean(values: Values | Mask) -> float:
    return float(values.mean()) if len(values) else float("nan")
