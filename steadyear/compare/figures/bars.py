"""Bars: loss per budget, and change per concept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.load.cells import Cell, budget_label
from steadyear.compare.render.style import legend, look, panels
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

DOT: Any = {"s": 13, "color": "white", "edgecolor": "#222222", "linewidths": 0.8, "zorder": 3}


def draw_loss(summary: Summary) -> Figure:
    """Draw what every system loses under the headline attack, at each of its budgets.

    Args:
        summary: The comparison.

    Returns:
        The figure.
    """
    attack, count = summary.headline.attack, len(summary.systems)
    budgets = summary.budgets(attack)
    width = min(max(4.5, 1.5 + 0.32 * len(budgets) * (count + 1)), 9.5)
    figure = Figure(figsize=(width, 3.4), layout="constrained")
    axis = figure.subplots()
    for position, system in enumerate(summary.systems):
        for place, budget in enumerate(budgets):
            scores = system.attacked.get(Cell(attack, budget))
            if scores is not None:
                x = place * (count + 1) + position
                _bar(axis, x, scores.metrics[summary.task.loss.key], position)
        axis.bar(0, 0, color=look(position).color, label=system.label)
    centres = [place * (count + 1) + (count - 1) / 2 for place in range(len(budgets))]
    axis.set_xticks(centres, labels=[budget_label(budget) for budget in budgets])
    axis.set_xlim(-1, len(budgets) * (count + 1) - 1)
    axis.tick_params(axis="x", length=0)
    axis.grid(visible=False, axis="x")
    axis.axhline(0, color="#666666", linewidth=0.8)
    axis.set_xlabel(f"{attack.name} budget, {attack.space} [{attack.unit}]")
    axis.set_ylabel(f"{summary.task.loss.label} ({summary.task.loss.name})")
    legend(axis, figure)
    return figure


def _bar(axis: Axes, x: float, spread: Spread, position: int) -> None:
    axis.bar(x, spread.mean, width=0.86, color=look(position).color, alpha=0.75)
    dots = list(spread.values.values())
    axis.scatter([x] * len(dots), dots, **DOT)


def draw_concepts(summary: Summary, systems: Sequence[SystemSummary]) -> Figure:
    """Draw how far the headline attack moves each concept.

    Args:
        summary: The comparison.
        systems: Those that have concepts.

    Returns:
        The figure.
    """
    longest = max(len(system.group.runs[0].names.concepts) for system in systems)
    figure, axes = panels(len(systems), 2.4, 0.22 * longest + 0.9, sharex=True, sharey=False)
    for axis, system in zip(axes, systems, strict=True):
        position = summary.systems.index(system)
        changes = system.attacked[summary.headline].concept_change
        for place, spread in enumerate(changes.values()):
            axis.barh(place, spread.mean, height=0.8, color=look(position).color, alpha=0.75)
            dots = list(spread.values.values())
            axis.scatter(dots, [place] * len(dots), **DOT)
        axis.set_yticks(range(len(changes)), labels=list(changes))
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        axis.invert_yaxis()
        axis.set_title(system.label, fontweight="bold", color=look(position).color)
    figure.supxlabel("mean |change|", fontsize=9)
    return figure
