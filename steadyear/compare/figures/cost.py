"""Cost against robustness, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.render.style import legend, look, panels
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.cost import (
    CONDITIONS,
    COSTS,
    TrainingCost,
    front,
    points,
    training_costs,
)

WIDE: Final = 8.0


def can_draw(summary: Summary) -> bool:
    """Whether there is something to compare: two systems with the same kind of cost.

    Args:
        summary: The comparison.

    Returns:
        Whether :func:`draw_cost` has a panel.
    """
    return bool(_kinds(training_costs(summary)))


def _kinds(found: Sequence[TrainingCost]) -> list[tuple[str, str]]:
    return [
        (cost, each) for each in CONDITIONS for cost in COSTS if len(points(found, cost, each)) > 1
    ]


def draw_cost(summary: Summary) -> Figure:
    """Draw the score of every system against the cost of its training.

    Args:
        summary: The comparison, of which :func:`can_draw` said yes.

    Returns:
        The figure: a panel per cost and condition; filled markers are on the Pareto front, bars reach
        from the lowest to the highest seed.
    """
    found = training_costs(summary)
    kinds = _kinds(found)
    figure, axes = panels(len(kinds), 2.6, 2.6, sharey=False)
    for axis, kind in zip(axes, kinds, strict=True):
        places = points(found, *kind)
        best = front(places, higher_is_better=summary.task.higher_is_better)
        for entry in found:
            if entry.system.label in places:
                position = summary.systems.index(entry.system)
                _point(axis, entry, kind, position, entry.system.label in best)
        _cost_axis(axis, [cost for cost, _ in places.values()])
        _front_line(axis, [places[label] for label in best])
        axis.set_xlabel(COSTS[kind[0]])
        axis.set_ylabel(f"{kind[1]} {summary.task.score.label}")
    _names(axes[0], summary, found)
    legend(axes[0], figure)
    return figure


def _point(
    axis: Axes, entry: TrainingCost, kind: tuple[str, str], position: int, best: bool
) -> None:
    colour, marker = look(position)
    cost, score = entry.costs[kind[0]], entry.scores[kind[1]]
    bar: Any = {"color": colour, "alpha": 0.4, "linewidth": 1.2}
    axis.vlines(cost.mean, min(score.values.values()), max(score.values.values()), **bar)
    axis.hlines(score.mean, min(cost.values.values()), max(cost.values.values()), **bar)
    axis.plot(
        [cost.mean],
        [score.mean],
        color=colour,
        marker=marker,
        markersize=8,
        markerfacecolor=colour if best else "white",
        linestyle="none",
    )


def _front_line(axis: Axes, best: Sequence[tuple[float, float]]) -> None:
    # Whoever pays more than the best system has its score: the line goes on to the right.
    left, right = axis.get_xlim()
    costs, scores = [cost for cost, _ in best], [score for _, score in best]
    steps = [*costs, right], [*scores, scores[-1]]
    axis.step(*steps, where="post", color="#888888", linewidth=1.2, zorder=1)
    axis.set_xlim(left, right)


def _cost_axis(axis: Axes, costs: Sequence[float]) -> None:
    axis.margins(x=0.12)
    if min(costs) > 0 and max(costs) / min(costs) > WIDE:
        axis.set_xscale("log")
    else:
        axis.set_xlim(left=0)


def _names(axis: Axes, summary: Summary, found: Sequence[TrainingCost]) -> None:
    for entry in found:
        colour, marker = look(summary.systems.index(entry.system))
        axis.plot([], [], color=colour, marker=marker, linestyle="none", label=entry.system.label)
