"""Every pair of systems, tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from steadyear.compare.load.cells import Cell
from steadyear.compare.load.groups import Group
from steadyear.compare.statistics.bootstrap import Floats, score_interval
from steadyear.compare.statistics.inference import (
    PooledTest,
    SeedTest,
    holm,
    pooled_test,
    score_test,
    seed_test,
)
from steadyear.compare.statistics.measures import Measure, Values, measures, values


@dataclass(frozen=True)
class Comparison:
    """One pair of systems in one measure.

    Attributes:
        left: Label of one system.
        right: Label of the other.
        measure: The score under the headline attack, or what it lost.
        seed: The test whose unit is the seed.
        pooled: The test whose unit is the clip of one seed.
        seed_p: p of ``seed``, Holm-corrected over the pairs of this measure.
        pooled_p: p of the t-test in ``pooled``, corrected likewise.
        wilcoxon_p: p of Wilcoxon's test in ``pooled``, corrected likewise.
    """

    left: str
    right: str
    measure: str
    seed: SeedTest
    pooled: PooledTest
    seed_p: float | None
    pooled_p: float | None
    wilcoxon_p: float | None

    @property
    def label(self) -> str:
        """The pair as a difference."""
        return f"{self.left} - {self.right}"


def compare_pairs(groups: Sequence[Group], cell: Cell) -> tuple[Comparison, ...]:
    """Test every pair of systems under one attack.

    Args:
        groups: The systems, tested on the same clips.
        cell: Attack and budget; a system that did not meet it is in no pair.

    Returns:
        One comparison per measure and pair.
    """
    met = {each.label: _by_seed(each, cell) for each in groups}
    met = {label: seeds for label, seeds in met.items() if seeds}
    return tuple(
        comparison
        for place, measure in enumerate(measures(groups[0].runs[0].task))
        for comparison in _compare(
            measure,
            {
                label: {seed: each[place] for seed, each in seeds.items()}
                for label, seeds in met.items()
            },
        )
    )


def _by_seed(group: Group, cell: Cell) -> dict[int, tuple[Values, Values]]:
    return {run.seed: values(run, cell) for run in group.runs if cell in run.attacked}


def _compare(measure: Measure, systems: dict[str, dict[int, Values]]) -> list[Comparison]:
    pairs = list(combinations(systems, 2))
    tests = [_test(systems[left], systems[right]) for left, right in pairs]
    seed_p = holm([seed.p for seed, _ in tests])
    pooled_p = holm([pooled.p for _, pooled in tests])
    wilcoxon_p = holm([pooled.wilcoxon_p for _, pooled in tests])
    return [
        Comparison(*pair, measure.label, *test, *corrected)
        for pair, test, *corrected in zip(pairs, tests, seed_p, pooled_p, wilcoxon_p, strict=True)
    ]


def _test(left: dict[int, Values], right: dict[int, Values]) -> tuple[SeedTest, PooledTest]:
    common = sorted(left.keys() & right.keys())
    pooled = pooled_test(*(_clips([each[seed] for seed in common]) for each in (left, right)))
    sides = [[each[seed] for seed in sorted(each)] for each in (left, right)]
    return _seed_test(*sides, paired=left.keys() == right.keys()), pooled


def _seed_test(left: Sequence[Values], right: Sequence[Values], *, paired: bool) -> SeedTest:
    if left[0].drawn is None:
        return seed_test(_clips(left), _clips(right), paired=paired)
    scores = [np.array([each.score for each in side]) for side in (left, right)]
    return score_test(
        *scores,
        paired=paired,
        over_both=lambda: score_interval(_drawn(left), _drawn(right), paired=paired),
    )


def _clips(runs: Sequence[Values]) -> Floats:
    return np.asarray([each.clips for each in runs], dtype=np.float64)


def _drawn(runs: Sequence[Values]) -> Floats:
    return np.stack([each.drawn() for each in runs if each.drawn is not None], axis=1)
