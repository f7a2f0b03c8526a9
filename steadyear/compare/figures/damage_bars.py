"""Stacked bars of contributions: per target on average, and of the most damaged clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.figures.bars import DOT
from steadyear.compare.load.runs import Floats
from steadyear.compare.render.style import COLOURS, look
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.damage import Damage, along, find_damage

CLIPS: Final = 8
LONGEST_NAME: Final = 24
REMAINDER: Final = "#BBBBBB"

DAMAGE: Final = "damage"
DAMAGE_CAPTION: Final = (
    "Left: what each part adds to the mean absolute change of each target. Right: the same for the "
    "clips that changed most, mean over targets. Each contribution counts in the direction of its "
    "prediction's change: left of zero stands what held against it, and the dot is the sum, the "
    "mean |change|. Means over seeds; scales differ."
)


def draw_damage(summary: Summary) -> Figure | None:
    """Draw what each part adds to the change under the headline attack.

    Args:
        summary: The comparison.

    Returns:
        The figure, one row per system; ``None`` where no system has contributions.
    """
    damages = find_damage(summary)
    if not damages:
        return None
    lines = max(len(damages[0].targets), min(CLIPS, len(damages[0].per_clip())))
    height = max(0.24 * lines + 0.75, 0.2 * max(len(each.parts) for each in damages) + 0.5)
    figure = Figure(figsize=(9.5, height * len(damages)), layout="constrained")
    grid = figure.subplots(len(damages), 2, squeeze=False)
    for (left, right), damage in zip(grid, damages, strict=True):
        colour = look(summary.systems.index(damage.system)).color
        left.set_title(damage.system.label, fontweight="bold", color=colour, loc="left")
        _stack(left, _targets(damage), damage.targets, damage.parts)
        _stack(right, *_clips(damage), damage.parts)
        right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    for axis in grid[-1]:
        axis.set_xlabel("part of mean |change|")
    return figure


def _targets(damage: Damage) -> Floats:
    means = damage.over_clips(along)
    return np.asarray([[each.mean for each in parts.values()] for parts in means.values()])


def _clips(damage: Damage) -> tuple[Floats, list[str]]:
    values = damage.per_clip()
    worst = np.argsort(-values.sum(axis=1), kind="stable")[:CLIPS]
    names = [damage.system.group.runs[0].clips[clip] for clip in worst]
    short = [
        name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}" for name in names
    ]
    return values[worst], short


def _stack(axis: Axes, values: Floats, labels: Sequence[str], parts: Sequence[str]) -> None:
    places = np.arange(len(values))
    right, left = np.zeros(len(values)), np.zeros(len(values))
    for position, (part, lengths) in enumerate(zip(parts, values.T, strict=True)):
        start = np.where(lengths > 0, right, left)
        axis.barh(
            places, lengths, left=start, height=0.8, color=_colour(part, position), label=part
        )
        right += np.maximum(lengths, 0)
        left += np.minimum(lengths, 0)
    axis.scatter(values.sum(axis=1), places, **DOT)
    axis.axvline(0, color="#666666", linewidth=0.8)
    axis.use_sticky_edges = False  # bars that end at the frame look cut off
    axis.autoscale_view()
    axis.set_yticks(places, labels=list(labels))
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.invert_yaxis()


def _colour(part: str, position: int) -> str:
    return REMAINDER if part == "remainder" else COLOURS[position % len(COLOURS)]
