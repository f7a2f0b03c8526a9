"""Sizes of the smallest successful perturbations."""

from __future__ import annotations

from typing import Any

from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.render.text import format_table, wrap
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.minimal_norm import (
    FIGURE_CAPTION,
    MINIMAL_NORM,
    draw_minimal_norms,
    minimal_norm_json,
    minimal_norm_table,
)


class MinimalNormSection(Section):
    """What attacks found that minimise the norm."""

    order = 50
    key = "minimal_norm"
    figure_names = (MINIMAL_NORM,)

    def tables(self, summary: Summary) -> list[Table]:
        """One row per system and attack."""
        return [minimal_norm_table(summary)]

    def figures(self, summary: Summary) -> list[Picture]:
        """Survival curves."""
        figure = draw_minimal_norms(summary)
        return [] if figure is None else [draw_picture(MINIMAL_NORM, FIGURE_CAPTION, figure)]

    def json(self, summary: Summary) -> Any:
        """Quantiles."""
        return minimal_norm_json(summary)

    def terminal(self, summary: Summary) -> list[str]:
        """The table."""
        table = minimal_norm_table(summary)
        if not table.rows:
            return []
        return [format_table(table.header, table.rows, keys=2), wrap(table.caption)]
