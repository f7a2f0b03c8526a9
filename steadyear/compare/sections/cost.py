"""The cost of training, and what it buys."""

from __future__ import annotations

from typing import Any

import pandas as pd

from steadyear.compare.figures.cost import can_draw, draw_cost
from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.cost import cost_frame, cost_json, cost_table


class CostSection(Section):
    """Cost against robustness, with the Pareto front."""

    order = 40
    key = "cost"
    figure_names = ("cost",)
    frame_names = ("cost",)

    def tables(self, summary: Summary) -> list[Table]:
        """One row per system."""
        return [cost_table(summary)]

    def figures(self, summary: Summary) -> list[Picture]:
        """Scores against cost, where costs are known."""
        if not can_draw(summary):
            return []
        return [draw_picture("cost", _caption(summary), draw_cost(summary))]

    def frames(self, summary: Summary) -> dict[str, pd.DataFrame]:
        """Costs and scores by run."""
        return {"cost": cost_frame(summary)}

    def json(self, summary: Summary) -> Any:
        """Costs and fronts."""
        return cost_json(summary)


def _caption(summary: Summary) -> str:
    task = summary.task
    return (
        f"Cost of training against {task.score.label if task.higher_is_better else 'error'}, clean and under {summary.headline.label}. Line and filled "
        "markers: Pareto front; hollow: another system is both cheaper and better. Markers: means; "
        "bars: lowest to highest seed."
    )
