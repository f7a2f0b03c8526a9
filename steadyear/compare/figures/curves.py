"""Robustness curves: a metric against the budget of an attack."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.load.cells import (
    NORM_LABELS,
    AttackKey,
    Cell,
    budget_label,
    damaging,
    in_decibels,
)
from steadyear.compare.render.style import legend, look, panels
from steadyear.compare.scores.tasks import Score
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

_LINEAR = 0.5  # length of the linear part of an axis, in decades
_ROOM = 0.16  # of the axis for a label


def draw_curves(summary: Summary, score: Score) -> Figure:
    """Draw one score against the budget, one panel per attack, one line per system.

    An unbounded attack has no place on the axis: it stands apart, at the right, without a line.
    Where a z-unit is known in decibels, these stand below the budgets.

    Args:
        summary: The comparison.
        score: The score.

    Returns:
        The figure.
    """
    attacks = damaging(summary.attacks)
    figure, axes = panels(len(attacks), 2.5, 2.6)
    for axis, attack in zip(axes, attacks, strict=True):
        budgets = [budget for budget in summary.budgets(attack) if budget > 0]
        finite = [budget for budget in budgets if math.isfinite(budget)]
        apart = 3 * max(finite, default=1.0)
        for position, system in enumerate(summary.systems):
            _curve(axis, system, attack, score.key, position)
            step = 1 + 0.08 * (position - (len(summary.systems) - 1) / 2)
            _unbounded(axis, system, Cell(attack, math.inf), score.key, position, apart * step)
        decibels = summary.decibels if in_decibels(attack) else None
        _budget_axis(axis, finite, apart if len(finite) < len(budgets) else None, decibels)
        axis.set_title(attack.name, fontweight="bold")
        unit = attack.unit if decibels is None else f"{attack.unit}, dB"
        axis.set_xlabel(f"{attack.domain} {NORM_LABELS[attack.norm]} budget\n[{unit}]")
    figure.supylabel(f"attacked {score.label}", fontsize=9)
    legend(axes[0], figure)
    return figure


def _curve(
    axis: Axes, system: SystemSummary, attack: AttackKey, metric: str, position: int
) -> None:
    points: list[tuple[float, Spread]] = [(0.0, system.clean.metrics[metric])]
    points += [
        (cell.budget, scores.metrics[metric])
        for cell, scores in system.attacked.items()
        if cell.attack == attack and cell.budget > 0 and cell.bounded
    ]
    budgets = [budget for budget, _ in points]
    values = [list(spread.values.values()) for _, spread in points]
    color, marker = look(position)
    mean = [spread.mean for _, spread in points]
    axis.fill_between(
        budgets, [min(v) for v in values], [max(v) for v in values], color=color, alpha=0.18, lw=0
    )
    axis.plot(budgets, mean, color=color, marker=marker, label=system.label)


def _unbounded(
    axis: Axes, system: SystemSummary, cell: Cell, metric: str, position: int, place: float
) -> None:
    if cell not in system.attacked:
        return
    spread = system.attacked[cell].metrics[metric]
    values = list(spread.values.values())
    color, marker = look(position)
    axis.vlines(place, min(values), max(values), color=color, alpha=0.4, linewidth=4)
    axis.plot([place], [spread.mean], color=color, marker=marker)


def _budget_axis(
    axis: Axes, budgets: Sequence[float], apart: float | None, decibels: float | None
) -> None:
    smallest = min(budgets, default=1.0)
    # Linear up to the smallest budget, so that 0 has a place at the left.
    axis.set_xscale("symlog", linthresh=smallest, linscale=_LINEAR)
    ticks = [0.0, *_labelled(budgets)]
    labels = [budget_label(tick) for tick in ticks]
    if decibels is not None:
        pairs = zip(labels, ticks, strict=True)
        labels = [f"{label}\n{tick * decibels:.2g}" for label, tick in pairs]
    if apart is not None:
        ticks, labels = [*ticks, apart], [*labels, budget_label(math.inf)]
    axis.set_xticks(ticks, labels=labels)
    axis.set_xticks([], minor=True)
    axis.set_xlim(left=-0.15 * smallest)


def _labelled(budgets: Sequence[float]) -> list[float]:
    """Budgets that get a label: from the largest one down, those that leave room for it."""
    if not budgets:
        return []
    decades = math.log10(max(budgets) / min(budgets)) + _LINEAR
    chosen = [max(budgets)]
    for budget in sorted(budgets, reverse=True)[1:]:
        if math.log10(chosen[-1] / budget) >= _ROOM * decades:
            chosen.append(budget)
    return chosen[::-1]
