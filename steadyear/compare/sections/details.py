"""Every attack and budget, every target, and how strong the attacks were."""

from __future__ import annotations

from steadyear.compare.render.pages import (
    Table,
    concept_table,
    grid_table,
    strength_table,
    target_table,
)
from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.score_tables import (
    robustness_table,
    score_table,
)


class DetailSection(Section):
    """The tables of all numbers."""

    order = 70

    def tables(self, summary: Summary) -> list[Table]:
        """By attack and budget, target, concept and, for classes, score; then the strength."""
        tables = [grid_table(summary), target_table(summary), concept_table(summary)]
        if summary.task.labels_of_scores is not None:
            tables += [score_table(summary), robustness_table(summary)]
        return [*tables, strength_table(summary)]
