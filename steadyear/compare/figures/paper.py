"""Differences per clip, and true against predicted values, as in Figures 3 and 4 of the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.figures.bars import DOT
from steadyear.compare.load.runs import Floats
from steadyear.compare.render.style import COLOURS, legend, look, panels
from steadyear.compare.statistics.summary import Summary, SystemSummary
from steadyear.compare.tables.paper import DELTA

MOST_BOXES: Final = 72
BOX: Any = {
    "whis": (5, 95),
    "patch_artist": True,
    "medianprops": {"color": "#222222"},
    "flierprops": {"marker": ".", "markersize": 2, "markerfacecolor": "#777777"},
}


def draw_differences(
    frame: pd.DataFrame, systems: Sequence[SystemSummary], names: Sequence[str], error: str
) -> Figure:
    """Draw how much worse every clip is predicted under the headline attack.

    Args:
        frame: One row per system, seed and clip: ``delta``, and ``delta_<target>`` of every target.
        systems: The systems.
        names: Names of the targets; empty where a clip has one error only.
        error: What the error of a clip is called.

    Returns:
        The figure: all targets at the left; each target at the right, where there are several and
        not too many boxes to read.
    """
    targets = [f"{DELTA}_{name}" for name in names]
    several = len(targets) > 1 and len(targets) * len(systems) <= MOST_BOXES
    left = 0.9 + 0.35 * len(systems)
    right = 0.8 + 0.17 * len(targets) * (len(systems) + 1) if several else 0.0
    figure = Figure(figsize=(max(left + right, 4.5), 3.6), layout="constrained")
    ratios = {"width_ratios": [left, right]} if several else None
    axes = figure.subplots(1, 1 + several, gridspec_kw=ratios, squeeze=False)[0]
    _boxes(axes[0], frame, systems, [DELTA])
    axes[0].set_xticks([])
    axes[0].set_xlabel("all targets" if names else "")
    axes[0].set_ylabel(f"attacked minus clean {error}")
    if several:
        _boxes(axes[1], frame, systems, targets)
        middle = (len(systems) - 1) / 2
        places = [place * (len(systems) + 1) + middle for place in range(len(targets))]
        axes[1].set_xticks(places, labels=list(names), rotation=30 if len(names) > 5 else 0)
        axes[1].set_ylabel("attacked minus clean absolute error")
    legend(axes[0], figure)
    return figure


def _boxes(
    axis: Axes, frame: pd.DataFrame, systems: Sequence[SystemSummary], columns: Sequence[str]
) -> None:
    for position, system in enumerate(systems):
        mine, colour = frame[frame["system"] == system.label], look(position).color
        axis.bar(0, 0, color=colour, alpha=0.75, label=system.label)
        for place, column in enumerate(columns if len(mine) else ()):
            x = place * (len(systems) + 1) + position
            style: Any = {"facecolor": colour, "alpha": 0.75, "edgecolor": "#222222"}
            axis.boxplot([mine[column]], positions=[x], widths=0.75, boxprops=style, **BOX)
            means = mine.groupby("seed")[column].mean()
            # Seeds lie side by side: means of one system are often equal.
            spread = np.linspace(-0.25, 0.25, len(means)) if len(means) > 1 else [0.0]
            axis.scatter(x + np.asarray(spread), means, **DOT | {"s": 9})
    axis.axhline(0, color="#666666", linewidth=0.8)
    axis.grid(visible=False, axis="x")
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-1, len(columns) * (len(systems) + 1) - 1)


def draw_predictions(summary: Summary) -> Figure:
    """Draw predicted against true values, clean and under the headline attack.

    Args:
        summary: The comparison.

    Returns:
        The figure: a clean and an attacked panel per system; all clean panels have one scale, and
        all attacked ones. One colour per target, as far as there are colours.
    """
    systems = [each for each in summary.systems if summary.headline in each.attacked]
    figure, axes = panels(2 * len(systems), 2.2, 2.3, sharex=True, sharey=False)
    targets = systems[0].group.runs[0].names.targets
    for position, system in enumerate(systems):
        for axis, condition in zip(axes[2 * position :], ("clean", "attacked"), strict=False):
            _condition(axis, system, summary, condition)
            # Black: here colours mean targets.
            axis.set_title(f"{system.label}, {condition}", fontweight="bold")
    for first in (0, 1):
        _same_height(axes[first::2])
    figure.supxlabel("true", fontsize=9)
    figure.supylabel("predicted", fontsize=9)
    if 1 < len(targets) <= len(COLOURS):
        for name, colour in zip(targets, COLOURS, strict=False):
            axes[0].scatter([], [], color=colour, s=16, label=name)
        legend(axes[0], figure)
    return figure


def _condition(axis: Axes, system: SystemSummary, summary: Summary, condition: str) -> None:
    for run in system.group.runs:
        attacked = run.attacked.get(summary.headline)
        if condition == "clean":
            _dots(axis, run.target, run.prediction)
        elif attacked is not None:
            _dots(axis, run.target, attacked.prediction)
    target = system.group.runs[0].target
    ends = [target.min(), target.max()]
    axis.plot(ends, ends, color="#222222", linewidth=1)


def _dots(axis: Axes, true: Floats, predicted: Floats) -> None:
    count = true.shape[1]
    colours = COLOURS[:count] if count <= len(COLOURS) else ("#777777",) * count
    # Clip by clip, so that no target hides all others.
    each = list(colours) * len(true)
    axis.scatter(true.ravel(), predicted.ravel(), color=each, s=5, alpha=0.45, linewidths=0)


def _same_height(axes: Sequence[Axes]) -> None:
    limits = [axis.get_ylim() for axis in axes]
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    for axis in axes:
        axis.set_ylim(low, high)
