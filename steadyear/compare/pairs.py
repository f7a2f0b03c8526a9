"""Every pair of systems, tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from steadyear.compare.cells import Cell
from steadyear.compare.groups import Group
from steadyear.compare.inference import PooledTest, SeedTest, holm, pooled_test, seed_test
from steadyear.compare.resampling import Floats
from steadyear.compare.runs import Run


@dataclass(frozen=True)
class Comparison:
    """One pair of systems in one measure.

    Attributes:
        left: Label of one system.
        right: Label of the other.
        measure: ``attacked MAE`` or ``ΔMAE``, both under the headline attack.
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


def _attacked(run: Run, cell: Cell) -> Floats:
    return _error(run.attacked[cell].prediction, run.target)


def _lost(run: Run, cell: Cell) -> Floats:
    return _attacked(run, cell) - _error(run.prediction, run.target)


def _error(prediction: Floats, target: Floats) -> Floats:
    return np.asarray(np.abs(prediction - target).mean(axis=1), dtype=np.float64)


MEASURES: Final[dict[str, Callable[[Run, Cell], Floats]]] = {
    "attacked MAE": _attacked,
    "ΔMAE": _lost,
}


def compare_pairs(groups: Sequence[Group], cell: Cell) -> tuple[Comparison, ...]:
    """Test every pair of systems under one attack.

    Args:
        groups: The systems, tested on the same clips.
        cell: Attack and budget; a system that did not meet it is in no pair.

    Returns:
        One comparison per measure and pair.
    """
    met = [each for each in groups if any(cell in run.attacked for run in each.runs)]
    return tuple(
        comparison
        for measure, errors in MEASURES.items()
        for comparison in _compare(
            measure, {each.label: _by_seed(each, cell, errors) for each in met}
        )
    )


def _by_seed(group: Group, cell: Cell, errors: Callable[[Run, Cell], Floats]) -> dict[int, Floats]:
    return {run.seed: errors(run, cell) for run in group.runs if cell in run.attacked}


def _compare(measure: str, systems: dict[str, dict[int, Floats]]) -> list[Comparison]:
    pairs = list(combinations(systems, 2))
    tests = [_test(systems[left], systems[right]) for left, right in pairs]
    seed_p = holm([seed.p for seed, _ in tests])
    pooled_p = holm([pooled.p for _, pooled in tests])
    wilcoxon_p = holm([pooled.wilcoxon_p for _, pooled in tests])
    return [
        Comparison(*pair, measure, *test, *corrected)
        for pair, test, *corrected in zip(pairs, tests, seed_p, pooled_p, wilcoxon_p, strict=True)
    ]


def _test(left: dict[int, Floats], right: dict[int, Floats]) -> tuple[SeedTest, PooledTest]:
    common = sorted(left.keys() & right.keys())
    paired = left.keys() == right.keys()
    pooled = pooled_test(_stack(left, common), _stack(right, common))
    return seed_test(
        _stack(left, sorted(left)), _stack(right, sorted(right)), paired=paired
    ), pooled


def _stack(errors: dict[int, Floats], seeds: Sequence[int]) -> Floats:
    return np.asarray([errors[seed] for seed in seeds], dtype=np.float64)
