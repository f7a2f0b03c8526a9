"""Classes and clips of classifiers."""

from __future__ import annotations

import pandas as pd

from steadyear.compare.figures.class_bars import draw_classes, shown_classes
from steadyear.compare.figures.paper import draw_differences
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.score_tables import (
    clip_frame,
    score_frame,
)


class ClassSection(Section):
    """What the attack does to every class and to every clip."""

    order = 31
    title = "Classes and clips"
    figure_names = ("classes", "clip-errors")
    frame_names = ("scores", "clip-errors")

    def applies(self, summary: Summary) -> bool:
        """For labels and classes."""
        return summary.task.labels_of_scores is not None

    def figures(self, summary: Summary) -> list[Picture]:
        """Score of classes, and errors of clips."""
        headline, names = summary.headline.label, shown_classes(summary)
        hidden = len(summary.systems[0].clean.of_targets) - len(names)
        left_out = f" {hidden} classes that lose less are not shown." if hidden else ""
        return [
            draw_picture(
                "classes",
                f"{summary.task.target.name}, clean (wide, grey) and under {headline} "
                f"(narrow); dots: seeds.{left_out}",
                draw_classes(summary),
            ),
            draw_picture(
                "clip-errors",
                f"Attacked minus clean error of every clip and seed under {headline}. "
                f"{summary.task.clips.meaning} Boxes: quartiles and median; whiskers: "
                "5 to 95 %; white dots: means of the seeds.",
                draw_differences(clip_frame(summary), summary.systems, (), "error of a clip"),
            ),
        ]

    def frames(self, summary: Summary) -> dict[str, pd.DataFrame]:
        """Scores by run, and errors by clip."""
        return {"scores": score_frame(summary), "clip-errors": clip_frame(summary)}
