"""What a section of a report is; a new one is a file in `steadyear/compare/sections`."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd

from steadyear.compare.render.pages import Table
from steadyear.compare.render.picture import Picture
from steadyear.compare.statistics.summary import Summary

SECTIONS: list[Section] = []
"""Every section, in the order of the page."""


class Section:
    """Tables, figures, files and numbers about one question; a subclass enters itself.

    Page, terminal, files and `summary.json` loop over the sections, and leave out what one does not
    have.
    """

    order: ClassVar[int]
    """Place on the page; the lowest is first."""

    title: ClassVar[str] = ""
    """Heading of the section; without one each table has a heading of its own."""

    key: ClassVar[str] = ""
    """Key in `summary.json`."""

    figure_names: ClassVar[tuple[str, ...]] = ()
    """Names that its figures may have; files of earlier comparisons are removed by them."""

    frame_names: ClassVar[tuple[str, ...]] = ()
    """Names that its CSV files may have."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the section."""
        super().__init_subclass__(**kwargs)
        SECTIONS.append(cls())
        SECTIONS.sort(key=lambda section: section.order)

    def applies(self, summary: Summary) -> bool:
        """Whether the comparison has such a section, for example by its task."""
        return True

    def tables(self, summary: Summary) -> list[Table]:
        """Its tables; those without rows are left out."""
        return []

    def figures(self, summary: Summary) -> list[Picture]:
        """Its figures."""
        return []

    def frames(self, summary: Summary) -> dict[str, pd.DataFrame]:
        """Its unrounded numbers by the name of the CSV file."""
        return {}

    def json(self, summary: Summary) -> Any:
        """What stands under ``key`` in `summary.json`."""
        return None

    def terminal(self, summary: Summary) -> list[str]:
        """Its paragraphs in the terminal."""
        return []
