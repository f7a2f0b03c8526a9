"""Figures of a comparison."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.bars import draw_concepts, draw_loss
from steadyear.compare.curves import draw_curves
from steadyear.compare.runs import Floats
from steadyear.compare.style import DPI, RC, look, panels
from steadyear.compare.summary import Summary, System


class Picture(NamedTuple):
    """A drawn figure.

    Attributes:
        name: File name without suffix.
        caption: What it shows, in words.
        png: The image.
    """

    name: str
    caption: str
    png: bytes

    @property
    def width(self) -> int:
        """Width on the page in pixels, which makes the letters of all figures equally large."""
        # The width of a PNG image stands in its header.
        return int.from_bytes(self.png[16:20], "big") * 100 // DPI


def draw_all(summary: Summary) -> list[Picture]:
    """Draw every figure.

    Args:
        summary: The comparison.

    Returns:
        The figures; that of the concepts only where a system has concepts.
    """
    headline = summary.headline.label
    with mpl.rc_context(RC):
        pictures = [
            _picture(
                "robustness-mae",
                "Mean absolute error against budget, one panel per attack; 0 is clean. "
                "Lines: mean over seeds; bands: lowest to highest seed. Budgets of different "
                f"domains or norms are not comparable.{_apart(summary)}",
                draw_curves(summary, "mae", "attacked MAE"),
            ),
            _picture(
                "robustness-r",
                "Pearson's r over clips, mean over targets, against budget; drawn as above.",
                draw_curves(summary, "pearson", "attacked r"),
            ),
            _picture(
                "delta-mae",
                f"Loss under {summary.headline.attack.label} at every budget: attacked minus "
                "clean MAE. Bars: mean over seeds; dots: seeds.",
                draw_loss(summary),
            ),
            _picture(
                "predictions",
                f"Predicted against true values, all targets, clips and seeds: clean (grey) and "
                f"under {headline} (colour). The line is a perfect prediction.",
                _scatter(summary),
            ),
        ]
        systems = _with_concepts(summary)
        if systems:
            caption = f"Mean absolute change of each concept under {headline}; dots: seeds."
            pictures.append(_picture("concepts", caption, draw_concepts(summary, systems)))
    return pictures


def _apart(summary: Summary) -> str:
    if all(cell.bounded for cell in summary.cells):
        return ""
    return " Unbounded attacks stand apart, at the right, with a bar from lowest to highest seed."


def _picture(name: str, caption: str, figure: Figure) -> Picture:
    buffer = BytesIO()
    # Without the software's version, the same numbers give the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(name, caption, buffer.getvalue())


def _scatter(summary: Summary) -> Figure:
    figure, axes = panels(len(summary.systems), 2.2, 2.3, sharex=True)
    for position, (axis, system) in enumerate(zip(axes, summary.systems, strict=True)):
        for run in system.group.runs:
            attacked = run.attacked.get(summary.headline)
            if attacked is not None:
                _dots(axis, run.target, attacked.prediction, look(position).color)
            _dots(axis, run.target, run.prediction, "#777777")
        target = system.group.runs[0].target
        ends = [target.min(), target.max()]
        axis.plot(ends, ends, color="#222222", linewidth=1)
        axis.set_title(system.label, fontweight="bold", color=look(position).color)
    figure.supxlabel("true", fontsize=9)
    figure.supylabel("predicted", fontsize=9)
    return figure


def _dots(axis: Axes, true: Floats, predicted: Floats, color: str) -> None:
    axis.scatter(true.ravel(), predicted.ravel(), color=color, s=7, alpha=0.35, linewidths=0)


def _with_concepts(summary: Summary) -> list[System]:
    return [
        system
        for system in summary.systems
        if summary.headline in system.attacked and system.attacked[summary.headline].concept_change
    ]
