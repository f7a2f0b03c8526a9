"""Table 1 and Figures 3 and 4 of the MER study, for any systems."""

from __future__ import annotations

from typing import Any

import pandas as pd

from steadyear.compare.figures.paper import draw_differences, draw_predictions
from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.scores.tasks import REGRESSION
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.paper import (
    STUDY,
    difference_frame,
    prediction_frame,
    study_frame,
    study_json,
    study_table,
)


class StudySection(Section):
    """The published table and figures of the study of music emotion recognition."""

    order = 30
    key = "study"
    figure_names = ("differences", "predictions")
    frame_names = ("clean-and-attacked", "differences", "predictions")

    def applies(self, summary: Summary) -> bool:
        """For ratings."""
        return summary.task is REGRESSION

    def tables(self, summary: Summary) -> list[Table]:
        """As Table 1."""
        return [study_table(summary)]

    def figures(self, summary: Summary) -> list[Picture]:
        """As Figures 3 and 4."""
        headline, targets = summary.headline.label, summary.systems[0].group.runs[0].names.targets
        frame = difference_frame(summary)
        return [
            draw_picture(
                "differences",
                f"As Figure 3 of {STUDY}, differences: attacked minus clean absolute error of "
                f"every clip and seed under {headline}, mean over targets and by target. Boxes: "
                "quartiles and median; whiskers: 5 to 95 %; white dots: means of the seeds.",
                draw_differences(frame, summary.systems, targets, "MAE"),
            ),
            draw_picture(
                "predictions",
                f"As Figure 4 of {STUDY}: predicted against true values of every clip and seed, "
                f"clean and under {headline}. The line is a perfect prediction; clean and "
                "attacked panels have different scales.",
                draw_predictions(summary),
            ),
        ]

    def frames(self, summary: Summary) -> dict[str, pd.DataFrame]:
        """The numbers behind them, by run and clip."""
        return {
            "clean-and-attacked": study_frame(summary),
            "differences": difference_frame(summary),
            "predictions": prediction_frame(summary),
        }

    def json(self, summary: Summary) -> Any:
        """The table."""
        return study_json(summary)
