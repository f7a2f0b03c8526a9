"""Heat maps of a transfer matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steadyear.compare.render.picture import Picture
from steadyear.compare.render.style import DPI, RC
from steadyear.compare.render.text import MISSING
from steadyear.compare.statistics.spread import Spread
from steadyear.transfer.matrix import CONTROL, ITSELF, Key, Matrix

COLOURS = "YlGnBu"
DARK = 0.55


def draw_all(found: Matrix) -> list[Picture]:
    """Draw the damage, and the share of the damage by the target's own examples.

    Args:
        found: The matrix.
    """
    others = [row for row in found.sources if row != ITSELF]
    other = "Where source and target are one system, they are two seeds of it."
    with mpl.rc_context(RC | {"axes.grid": False}):
        return [
            Picture(
                "transfer-damage",
                f"Mean error that the examples add, over all pairs of seeds. {other}",
                _png(_heat(found, found.sources, found.damage, "added error", 3)),
            ),
            Picture(
                "transfer-share",
                f"The same in percent of what a target's own examples add to it. {other}",
                _png(_heat(found, others, found.share, "share of own damage [%]", 1)),
            ),
        ]


def _heat(
    found: Matrix, rows: Sequence[str], cells: Mapping[Key, Spread], label: str, digits: int
) -> Figure:
    values = np.array(
        [[_mean(cells.get((row, column))) for column in found.targets] for row in rows]
    )
    width = 0.9 * len(found.targets) + 2.6
    figure = Figure(figsize=(max(width, 4.5), 0.5 * len(rows) + 1.4), layout="constrained")
    axis = figure.subplots()
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    image = axis.imshow(values, cmap=COLOURS, vmin=0, vmax=max(top, 1e-9), aspect="auto")
    figure.colorbar(image, ax=axis, label=label, shrink=0.9)
    axis.set_xticks(range(len(found.targets)), found.targets, rotation=25, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xlabel("tested on")
    axis.set_ylabel("made on")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        text = f"{value:.{digits}f}" if math.isfinite(value) else MISSING
        dark = math.isfinite(value) and value > DARK * top
        axis.text(column, row, text, ha="center", va="center", color="white" if dark else "#222222")
    _part(axis, rows)
    return figure


def _part(axis: Axes, rows: Sequence[str]) -> None:
    """Set what is no transfer apart from what is."""
    edges = [0.5] if ITSELF in rows else []
    edges += [len(rows) - 1.5] if CONTROL in rows else []
    for edge in edges:
        axis.axhline(edge, color="white", linewidth=5)


def _mean(spread: Spread | None) -> float:
    return math.nan if spread is None else spread.mean


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    # Without the software's version, the same numbers give the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
