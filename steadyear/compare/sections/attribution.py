"""Which part of a system the change of a prediction comes from."""

from __future__ import annotations

from typing import Any

from steadyear.compare.figures.damage_bars import DAMAGE, DAMAGE_CAPTION, draw_damage
from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.damage import damage_json, damage_tables


class AttributionSection(Section):
    """Contributions of concepts, or of groups of features, to the change under attack."""

    order = 60
    title = "Attribution of the damage"
    key = "damage"
    figure_names = (DAMAGE,)

    def tables(self, summary: Summary) -> list[Table]:
        """One table per system."""
        return damage_tables(summary)

    def figures(self, summary: Summary) -> list[Picture]:
        """Stacked bars, where a system has contributions."""
        figure = draw_damage(summary)
        caption = f"Under {summary.headline.label}. {DAMAGE_CAPTION}"
        return [] if figure is None else [draw_picture(DAMAGE, caption, figure)]

    def json(self, summary: Summary) -> Any:
        """Means over clips, by target and part."""
        return damage_json(summary)
