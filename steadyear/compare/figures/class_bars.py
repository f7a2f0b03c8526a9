"""The score of every class, clean and attacked."""

from __future__ import annotations

import math
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.figures.bars import DOT
from steadyear.compare.render.style import look, panels
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

MOST_CLASSES: Final = 30
CLEAN: Final[Any] = {"color": "#D0D3D8", "height": 0.8}


def shown_classes(summary: Summary) -> list[str]:
    """The classes that :func:`draw_classes` has room for.

    Args:
        summary: The comparison.

    Returns:
        Those that lose most under the headline attack, mean over systems, in the order of the data.
    """
    met = [each for each in summary.systems if summary.headline in each.attacked]
    names = list(met[0].clean.of_targets)

    def lost(name: str) -> float:
        changes = [
            each.clean.of_targets[name].mean - each.attacked[summary.headline].of_targets[name].mean
            for each in met
        ]
        mean = math.fsum(changes) / len(changes)
        return mean if math.isfinite(mean) else math.inf

    chosen = set(sorted(names, key=lost, reverse=True)[:MOST_CLASSES])
    return [name for name in names if name in chosen]


def draw_classes(summary: Summary) -> Figure:
    """Draw the score of the classes, one panel per system.

    Args:
        summary: The comparison.

    Returns:
        The figure: a wide bar for the clean clips, a narrow one for the attacked ones.
    """
    systems = [each for each in summary.systems if summary.headline in each.attacked]
    names = shown_classes(summary)
    height = 0.26 * len(names) + 0.9
    figure, axes = panels(len(systems), 2.6, height, sharex=True, sharey=True)
    for axis, system in zip(axes, systems, strict=True):
        colour = look(summary.systems.index(system)).color
        _panel(axis, system, summary, names, colour)
        axis.set_title(system.label, fontweight="bold", color=colour)
    axes[0].set_yticks(range(len(names)), labels=names)
    axes[0].invert_yaxis()
    axes[0].set_xlim(0, 1)
    axes[0].set_xticks([0, 0.5, 1], labels=["0", "0.5", "1"])
    figure.supxlabel(summary.task.target.label, fontsize=9)
    return figure


def _panel(
    axis: Axes, system: SystemSummary, summary: Summary, names: list[str], colour: str
) -> None:
    attacked = system.attacked[summary.headline].of_targets
    for place, name in enumerate(names):
        axis.barh(place, system.clean.of_targets[name].mean, **CLEAN)
        axis.barh(place, attacked[name].mean, height=0.4, color=colour)
        dots = _dots(attacked[name])
        axis.scatter(dots, [place] * len(dots), **DOT | {"s": 9})
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def _dots(spread: Spread) -> list[float]:
    # One seed is its own mean: the bar shows it.
    return list(spread.values.values()) if spread.n > 1 else []
