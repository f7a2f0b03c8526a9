"""One look for every figure: a colour and a marker per system."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Six colours of Okabe and Ito (2008) without black and yellow, then six of Paul Tol's "muted" set:
# they stay apart under the common kinds of colour blindness, and markers repeat the distinction.
COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#332288",
    "#882255",
    "#117733",
    "#999933",
    "#AA4499",
    "#888888",
)
MARKERS: Final = "os^DvPX*<>hp"
DPI: Final = 150
MAX_COLUMNS: Final = 4

RC: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}


class Look(NamedTuple):
    """How one system is drawn."""

    color: str
    marker: str


def look(position: int) -> Look:
    """Colour and marker of a system.

    Args:
        position: Its place among the systems.

    Returns:
        The look; it repeats after twelve systems.
    """
    return Look(COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)])


def panels(
    count: int, width: float, height: float, *, sharex: bool = False, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """Make small panels in a grid.

    Args:
        count: Number of panels.
        width: Width of one panel in inches.
        height: Height of one panel in inches.
        sharex: Whether they share their x axis.
        sharey: Whether they share their y axis.

    Returns:
        The figure, and its panels row by row.
    """
    columns = min(count, MAX_COLUMNS)
    rows = -(-count // columns)
    # One panel needs room for its axis labels, and a legend needs a minimum width.
    figure = Figure(figsize=(max(columns * width + 0.8, 4.5), rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=sharey, sharex=sharex, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for unused in axes[count:]:
        unused.remove()
    # The panel above a gap in the last row is the lowest of its column.
    for axis in axes[max(count - columns, 0) : count]:
        axis.tick_params(labelbottom=True)
    return figure, axes[:count]


def legend(axes: Axes, figure: Figure) -> None:
    """Put one legend for all panels above them.

    Args:
        axes: A panel that holds every labelled artist.
        figure: Its figure.
    """
    handles, labels = axes.get_legend_handles_labels()
    # Inches: about 0.085 per character, and 0.65 for the sample and the gap.
    entry = 0.085 * max(map(len, labels)) + 0.65
    columns = min(len(labels), max(1, int(figure.get_figwidth() / entry)))
    lines = -(-len(labels) // columns)
    # The legend's lines come on top of the panels' height, so that many systems do not flatten them.
    figure.set_figheight(figure.get_figheight() + 0.19 * (lines - 1))
    figure.legend(handles, labels, loc="outside upper center", ncols=-(-len(labels) // lines))
