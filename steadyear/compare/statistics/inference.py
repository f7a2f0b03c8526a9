"""Tests of the difference between two systems: over seeds, and over pooled clips.

The two answer different questions. Over seeds: would the difference survive another training? Over
clips pooled from all seeds, as in the published study (Hoedt et al., arXiv 2508.03780): do these
very networks differ? The clips of one seed share a network and the seeds share their clips, so the
pooled values are not independent, and its p says nothing about other trainings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from steadyear.compare.statistics.bootstrap import (
    Floats,
    Interval,
    seed_and_clip_interval,
    seed_interval,
)
from steadyear.compare.statistics.effects import cohen_d, rank_biserial

FEWEST_SEEDS: Final = 3
TOO_FEW: Final = "too few seeds"
UNDEFINED: Final = "not finite"
CONSTANT: Final = "no variation"
NO_PAIRS: Final = "no common seed"


@dataclass(frozen=True)
class SeedTest:
    """One score of each seed compared with the seed as the unit.

    Attributes:
        paired: Whether both systems have the same seeds, so that they are compared seed by seed
            (paired t-test); else Welch's t-test.
        seeds: Number of seeds of either system.
        difference: Mean of the left system minus mean of the right one; NaN where a value is not
            finite.
        note: Why there is no test; empty where there is one.
        statistic: Student's t.
        p: Two-sided p of the t-test.
        over_seeds: 95 % bootstrap interval of the difference, seeds drawn.
        over_both: 95 % bootstrap interval of the difference, seeds and clips drawn.
        cohen_d: Difference divided by the pooled standard deviation of the seed means.
    """

    paired: bool
    seeds: tuple[int, int]
    difference: float
    note: str = ""
    statistic: float | None = None
    p: float | None = None
    over_seeds: Interval | None = None
    over_both: Interval | None = None
    cohen_d: float | None = None


@dataclass(frozen=True)
class PooledTest:
    """Clips of the common seeds, pooled and compared in pairs.

    Attributes:
        pairs: Number of pairs: clips times common seeds.
        note: Why there is no test; empty where there is one.
        statistic: Student's t of the paired t-test.
        p: Its two-sided p.
        wilcoxon_p: Two-sided p of Wilcoxon's signed-rank test.
        rank_biserial: Matched-pairs rank-biserial correlation, -1 to 1; 1 says that the left system
            has the larger value in every pair.
    """

    pairs: int
    note: str = ""
    statistic: float | None = None
    p: float | None = None
    wilcoxon_p: float | None = None
    rank_biserial: float | None = None


def seed_test(left: Floats, right: Floats, *, paired: bool) -> SeedTest:
    """Compare two systems with the seed as the unit, by the mean over clips of each seed.

    Args:
        left: Errors of one system, shape (seeds, clips).
        right: Errors of the other, shape (seeds, clips).
        paired: Whether row i of both belongs to the same seed.

    Returns:
        The test; its ``note`` says why where there is none.
    """
    return score_test(
        *(each.mean(axis=1) for each in (left, right)),
        paired=paired,
        over_both=lambda: seed_and_clip_interval(left, right, paired=paired),
    )


def score_test(
    left: Floats, right: Floats, *, paired: bool, over_both: Callable[[], Interval]
) -> SeedTest:
    """Compare two systems with the seed as the unit, by one score of each seed.

    Args:
        left: Scores of one system, shape (seeds,).
        right: Scores of the other, shape (seeds,).
        paired: Whether score i of both belongs to the same seed.
        over_both: Gives the interval of the difference when seeds and clips are drawn; asked where
            there is a test.

    Returns:
        The test; its ``note`` says why where there is none.
    """
    seeds = len(left), len(right)
    if not _finite(left, right):
        return SeedTest(paired, seeds, math.nan, UNDEFINED)
    difference = float(left.mean() - right.mean())
    if min(seeds) < FEWEST_SEEDS:
        return SeedTest(paired, seeds, difference, TOO_FEW)
    if all(_constant(each, left, right) for each in ([left - right] if paired else [left, right])):
        return SeedTest(paired, seeds, difference, CONSTANT)
    found = (
        stats.ttest_rel(left, right) if paired else stats.ttest_ind(left, right, equal_var=False)
    )
    return SeedTest(
        paired,
        seeds,
        difference,
        statistic=float(found.statistic),
        p=float(found.pvalue),
        over_seeds=seed_interval(left, right, paired=paired),
        over_both=over_both(),
        cohen_d=cohen_d(left, right),
    )


def pooled_test(left: Floats, right: Floats) -> PooledTest:
    """Compare two systems clip by clip, all seeds pooled as if they were independent.

    Args:
        left: Errors of one system, shape (seeds, clips).
        right: Errors of the other for the same seeds and clips, shape (seeds, clips).

    Returns:
        The test; its ``note`` says why where there is none.
    """
    if not left.size:
        return PooledTest(0, NO_PAIRS)
    if not _finite(left, right):
        return PooledTest(left.size, UNDEFINED)
    differences = (left - right).ravel()
    if differences.size < 2 or _constant(differences, left, right):
        return PooledTest(differences.size, CONSTANT)
    found = stats.ttest_1samp(differences, 0.0)
    return PooledTest(
        differences.size,
        statistic=float(found.statistic),
        p=float(found.pvalue),
        wilcoxon_p=float(stats.wilcoxon(differences).pvalue),
        rank_biserial=rank_biserial(differences),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Args:
        p_values: One p per test; ``None`` where no test was made, which does not count.

    Returns:
        Corrected values in the same order, at most 1.
    """
    corrected: list[float | None] = [None] * len(p_values)
    made = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    highest = 0.0
    for rank, (p, place) in enumerate(made):
        highest = max(highest, min(1.0, p * (len(made) - rank)))
        corrected[place] = highest
    return corrected


def _finite(left: Floats, right: Floats) -> bool:
    return bool(np.isfinite(left).all() and np.isfinite(right).all())


def _constant(values: Floats, left: Floats, right: Floats) -> bool:
    # A spread as small as rounding errors would give a huge t that means nothing.
    return bool(np.ptp(values) <= 1e-12 * max(np.abs(left).max(), np.abs(right).max()))
