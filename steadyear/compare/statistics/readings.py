"""Say in plain words how two systems differ under the headline attack."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

from steadyear.compare.load.cells import Cell
from steadyear.compare.scores.tasks import TaskReport
from steadyear.compare.statistics.spread import Scores, Spread

Conditions = tuple[Scores[Spread], Scores[Spread] | None]


def read_pairs(task: TaskReport, headline: Cell, scores: Mapping[str, Conditions]) -> list[str]:
    """Write one sentence per pair of systems.

    Args:
        task: What the systems do.
        headline: Attack and budget to speak of.
        scores: Clean scores and those under the headline attack, by label.

    Returns:
        The sentences; a pair without both numbers has none.
    """
    return [
        sentence
        for left, right in combinations(scores, 2)
        if (sentence := _read_pair(task, headline, left, right, scores))
    ]


def _read_pair(
    task: TaskReport, headline: Cell, left: str, right: str, scores: Mapping[str, Conditions]
) -> str:
    losses, name = {}, task.score.label
    for label in (left, right):
        attacked = scores[label][1]
        if attacked is None or not math.isfinite(attacked.metrics[task.loss.key].mean):
            return ""
        losses[label] = attacked.metrics[task.loss.key]
    first, second = sorted((left, right), key=lambda label: losses[label].mean)
    clean = [scores[label][0].metrics[task.score.key].mean for label in (first, second)]
    return (
        f"Under {headline.budget_text}, "
        f"{first} {_loses(losses[first].mean)} {name} and "
        f"{second} {_loses(losses[second].mean)}{_overlap(losses[first], losses[second])}. "
        f"Without attack their {name}s are {clean[0]:.3f} and {clean[1]:.3f}."
    )


def _loses(delta: float) -> str:
    return f"gains {-delta:.3f}" if delta < 0 else f"loses {delta:.3f}"


def _overlap(low: Spread, high: Spread) -> str:
    if min(low.n, high.n) < 2:
        return ""
    spans = [(min(each.values.values()), max(each.values.values())) for each in (low, high)]
    verb = "overlap" if spans[1][0] <= spans[0][1] else "do not overlap"
    shown = " and ".join(f"{lowest:.3f} to {highest:.3f}" for lowest, highest in spans)
    return f"; their seeds {verb} ({shown})"
