"""Drawn figures."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

from matplotlib.figure import Figure

from steadyear.compare.render.style import DPI


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


def draw_picture(name: str, caption: str, figure: Figure) -> Picture:
    """A figure as an image.

    Args:
        name: File name without suffix.
        caption: What it shows, in words.
        figure: The figure.
    """
    buffer = BytesIO()
    # Without the software's version, the same numbers give the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(name, caption, buffer.getvalue())
