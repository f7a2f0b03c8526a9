"""Robustness curves: a metric against the budget of an attack."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.cells import NORM_LABELS, Attack
from steadyear.compare.statistics import Spread
from steadyear.compare.style import legend, look, panels
from steadyear.compare.summary import Summary, System


def draw_curves(summary: Summary, metric: str, label: str) -> Figure:
    """Draw one metric against the budget, one panel per attack, one line per system.

    Args:
        summary: The comparison.
        metric: Name of the metric.
        label: What to call it on the axis.

    Returns:
        The figure.
    """
    figure, axes = panels(len(summary.attacks), 2.5, 2.6)
    for axis, attack in zip(axes, summary.attacks, strict=True):
        for position, system in enumerate(summary.systems):
            _curve(axis, system, attack, metric, position)
        _budget_axis(axis, [budget for budget in summary.budgets(attack) if budget > 0])
        axis.set_title(attack.name, fontweight="bold")
        axis.set_xlabel(f"{attack.domain} {NORM_LABELS[attack.norm]} budget\n[{attack.unit}]")
    figure.supylabel(label, fontsize=9)
    legend(axes[0], figure)
    return figure


def _curve(axis: Axes, system: System, attack: Attack, metric: str, position: int) -> None:
    points: list[tuple[float, Spread]] = [(0.0, system.clean.metrics[metric])]
    points += [
        (cell.budget, scores.metrics[metric])
        for cell, scores in system.attacked.items()
        if cell.attack == attack and cell.budget > 0
    ]
    budgets = [budget for budget, _ in points]
    values = [list(spread.values.values()) for _, spread in points]
    color, marker = look(position)
    mean = [spread.mean for _, spread in points]
    axis.fill_between(
        budgets, [min(v) for v in values], [max(v) for v in values], color=color, alpha=0.18, lw=0
    )
    axis.plot(budgets, mean, color=color, marker=marker, label=system.label)


def _budget_axis(axis: Axes, budgets: Sequence[float]) -> None:
    smallest = min(budgets, default=1.0)
    # Linear up to the smallest budget, so that 0 has a place at the left.
    axis.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    every = -(-len(budgets) // 5)
    ticks = [0.0, *budgets[::-1][:: every or 1][::-1]]
    axis.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlim(left=-0.15 * smallest)
