"""Exact ranking figures of one class from one sort, ties counted as ties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.intp]


@dataclass(frozen=True)
class Thresholds:
    """The distinct scores of the positives: only there does recall change.

    Attributes:
        values: Distinct scores in rising order, shape (thresholds,).
        counts: Number of positives with each score.
    """

    values: Floats
    counts: Integers

    @classmethod
    def of(cls, positives: Floats) -> Thresholds:
        """The thresholds of a set of positives.

        Args:
            positives: Scores of the positives; they are sorted in place.
        """
        positives.sort()
        new = np.ones(len(positives), dtype=bool)
        np.not_equal(positives[1:], positives[:-1], out=new[1:])
        first = np.flatnonzero(new)
        return cls(positives[first], np.diff(first, append=len(positives)))

    @cached_property
    def hits(self) -> Integers:
        """Number of positives with at least each score."""
        return np.asarray(self.counts[::-1].cumsum()[::-1])

    @property
    def total(self) -> int:
        """Number of positives."""
        return int(self.counts.sum())


def average_precision(thresholds: Thresholds, reached: Integers) -> float:
    """Average precision without interpolation: the sum of precision times the step of recall.

    Args:
        thresholds: Those of the positives.
        reached: Number of all scores, of positives and negatives, at or above each threshold.

    Returns:
        The average precision; NaN without positives.
    """
    if thresholds.total == 0:
        return float("nan")
    return float(thresholds.counts @ (thresholds.hits / reached) / thresholds.total)


def area_under_roc(thresholds: Thresholds, sorted_scores: Floats) -> float:
    """Probability that a positive scores higher than a negative, ties counted half.

    Args:
        thresholds: Those of the positives.
        sorted_scores: All scores, of positives and negatives, in rising order.

    Returns:
        The area under the receiver operating characteristic; NaN without positives or negatives.
    """
    pairs = thresholds.total * (len(sorted_scores) - thresholds.total)
    if pairs == 0:
        return float("nan")
    below = np.searchsorted(sorted_scores, thresholds.values, "left")
    up_to = np.searchsorted(sorted_scores, thresholds.values, "right")
    # Without the positives, these are the negatives below and up to each threshold.
    positives = 2 * (thresholds.total - thresholds.hits) + thresholds.counts
    return float(thresholds.counts @ (below + up_to - positives)) / (2 * pairs)


def at_least(sorted_scores: Floats, values: Floats) -> Integers:
    """Number of scores at or above each value.

    Args:
        sorted_scores: Scores in rising order.
        values: Distinct values in rising order.
    """
    if len(values) <= len(sorted_scores):
        return np.asarray(len(sorted_scores) - np.searchsorted(sorted_scores, values, "left"))
    # The fewer are looked up among the more.
    reached = np.bincount(
        np.searchsorted(values, sorted_scores, "right"), minlength=len(values) + 1
    )
    return np.asarray(reached[::-1].cumsum()[-2::-1])
