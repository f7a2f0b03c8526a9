"""Figures of a comparison."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from steadyear.compare.figures.bars import draw_concepts, draw_loss
from steadyear.compare.figures.class_bars import draw_classes, shown_classes
from steadyear.compare.figures.cost import can_draw, draw_cost
from steadyear.compare.figures.curves import draw_curves
from steadyear.compare.figures.damage_bars import DAMAGE, DAMAGE_CAPTION, draw_damage
from steadyear.compare.figures.paper import draw_differences, draw_predictions
from steadyear.compare.load.cells import damaging, in_decibels
from steadyear.compare.render.style import DPI, RC
from steadyear.compare.scores.tasks import REGRESSION
from steadyear.compare.sections.minimal_norm import FIGURE_CAPTION, MINIMAL_NORM, draw_minimal_norms
from steadyear.compare.sections.paper import STUDY, difference_frame
from steadyear.compare.sections.score_tables import clip_frame
from steadyear.compare.statistics.summary import Summary, System


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


def draw_all(summary: Summary) -> list[Picture]:
    """Draw every figure.

    Args:
        summary: The comparison.

    Returns:
        The figures; that of the concepts only where a system has concepts, and that of the damage,
        the last one, only where a system has contributions.
    """
    headline = summary.headline.label
    with mpl.rc_context(RC):
        pictures = _scores(summary)
        pictures += _study(summary) if summary.task is REGRESSION else _classes(summary)
        if can_draw(summary):
            pictures.append(_picture("cost", _cost_caption(summary), draw_cost(summary)))
        systems = _with_concepts(summary)
        if systems:
            caption = f"Mean absolute change of each concept under {headline}; dots: seeds."
            pictures.append(_picture("concepts", caption, draw_concepts(summary, systems)))
        minimal = draw_minimal_norms(summary)
        if minimal is not None:
            pictures.append(_picture(MINIMAL_NORM, FIGURE_CAPTION, minimal))
        damage = draw_damage(summary)
        if damage is not None:
            pictures.append(_picture(DAMAGE, f"Under {headline}. {DAMAGE_CAPTION}", damage))
    return pictures


def _scores(summary: Summary) -> list[Picture]:
    task, attack = summary.task, summary.headline.attack.label
    return [
        _picture(
            f"robustness-{task.score.label.lower()}",
            f"{task.score.name} against budget, one panel per attack; 0 is clean. "
            "Lines: mean over seeds; bands: lowest to highest seed. Budgets of different "
            f"domains or norms are not comparable.{_decibels(summary)}{_apart(summary)}",
            draw_curves(summary, task.score),
        ),
        _picture(
            f"robustness-{task.other.label.lower()}",
            f"{task.other.name}, against budget; drawn as above.",
            draw_curves(summary, task.other),
        ),
        _picture(
            task.loss.key.replace("_", "-"),
            f"Loss under {attack} at every budget: {task.loss.name} {task.score.label}. "
            "Bars: mean over seeds; dots: seeds.",
            draw_loss(summary),
        ),
    ]


def _study(summary: Summary) -> list[Picture]:
    headline, targets = summary.headline.label, summary.systems[0].group.runs[0].names.targets
    frame = difference_frame(summary)
    return [
        _picture(
            "differences",
            f"As Figure 3 of {STUDY}, differences: attacked minus clean absolute error of "
            f"every clip and seed under {headline}, mean over targets and by target. Boxes: "
            "quartiles and median; whiskers: 5 to 95 %; white dots: means of the seeds.",
            draw_differences(frame, summary.systems, targets, "MAE"),
        ),
        _picture(
            "predictions",
            f"As Figure 4 of {STUDY}: predicted against true values of every clip and seed, "
            f"clean and under {headline}. The line is a perfect prediction; clean and "
            "attacked panels have different scales.",
            draw_predictions(summary),
        ),
    ]


def _classes(summary: Summary) -> list[Picture]:
    headline, names = summary.headline.label, shown_classes(summary)
    hidden = len(summary.systems[0].clean.of_targets) - len(names)
    left_out = f" {hidden} classes that lose less are not shown." if hidden else ""
    return [
        _picture(
            "classes",
            f"Average precision of each class that occurs, clean (wide, grey) and under {headline} "
            f"(narrow); dots: seeds.{left_out}",
            draw_classes(summary),
        ),
        _picture(
            "clip-errors",
            f"Attacked minus clean error of every clip and seed under {headline}. "
            f"{summary.task.clips.meaning} Boxes: quartiles and median; whiskers: "
            "5 to 95 %; white dots: means of the seeds.",
            draw_differences(clip_frame(summary), summary.systems, (), "error of a clip"),
        ),
    ]


def _decibels(summary: Summary) -> str:
    if summary.decibels is None or not any(in_decibels(each) for each in summary.attacks):
        return ""
    return f" Below budgets in z-units: decibels; one z-unit is {summary.decibels:.4g} dB."


def _apart(summary: Summary) -> str:
    drawn = damaging(summary.attacks)
    if all(cell.bounded for cell in summary.cells if cell.attack in drawn):
        return ""
    return " Unbounded attacks stand apart, at the right, with a bar from lowest to highest seed."


def _picture(name: str, caption: str, figure: Figure) -> Picture:
    buffer = BytesIO()
    # Without the software's version, the same numbers give the same file.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(name, caption, buffer.getvalue())


def _cost_caption(summary: Summary) -> str:
    task = summary.task
    return (
        f"Cost of training against {task.score.label if task.higher_is_better else 'error'}, clean and under {summary.headline.label}. Line and filled "
        "markers: Pareto front; hollow: another system is both cheaper and better. Markers: means; "
        "bars: lowest to highest seed."
    )


def _with_concepts(summary: Summary) -> list[System]:
    return [
        system
        for system in summary.systems
        if summary.headline in system.attacked and system.attacked[summary.headline].concept_change
    ]
