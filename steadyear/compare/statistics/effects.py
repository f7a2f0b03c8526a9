"""Effect sizes."""

from __future__ import annotations

import numpy as np
from scipy import stats

from steadyear.compare.statistics.bootstrap import Floats


def cohen_d(left: Floats, right: Floats) -> float | None:
    """Cohen's d with the pooled standard deviation of both groups.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.5.

    Args:
        left: Values of one group, at least two.
        right: Values of the other, at least two.

    Returns:
        The effect size; ``None`` where no group varies.
    """
    freedom = len(left) + len(right) - 2
    squares = ((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum()
    if squares == 0:
        return None
    return float((left.mean() - right.mean()) / np.sqrt(squares / freedom))


def rank_biserial(differences: Floats) -> float:
    """Matched-pairs rank-biserial correlation.

    Source: Kerby, "The simple difference formula", 2014: the share of the ranks of |difference|
    that speaks for the left side, minus the share that speaks against it. Zeros do not count.

    Args:
        differences: Left minus right, at least one of them not zero, shape (pairs,).

    Returns:
        The correlation, -1 to 1.
    """
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    return float((ranks * np.sign(moved)).sum() / ranks.sum())
