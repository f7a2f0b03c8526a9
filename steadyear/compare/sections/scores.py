"""Scores against the budget, and the change of concepts."""

from __future__ import annotations

from steadyear.compare.figures.bars import draw_concepts, draw_loss
from steadyear.compare.figures.curves import draw_curves
from steadyear.compare.load.cells import damaging, in_decibels
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.scores.tasks import TASKS, TaskReport
from steadyear.compare.statistics.summary import Summary, SystemSummary


def _names(task: TaskReport) -> list[str]:
    curves = (
        f"robustness-{each.label.lower().replace(' ', '-')}" for each in (task.score, task.other)
    )
    return [*curves, task.loss.key.replace("_", "-")]


class ScoreFigures(Section):
    """Curves over budgets, the loss, and the change of concepts."""

    order = 20
    title = "Figures"
    figure_names = (*(name for task in TASKS.values() for name in _names(task)), "concepts")

    def figures(self, summary: Summary) -> list[Picture]:
        """All of them; that of the concepts only where a system has some."""
        pictures = _curves(summary)
        systems = _with_concepts(summary)
        if systems:
            change = (
                f"Mean absolute change of each concept under {summary.headline.label}; dots: seeds."
            )
            pictures.append(draw_picture("concepts", change, draw_concepts(summary, systems)))
        return pictures


def _curves(summary: Summary) -> list[Picture]:
    task, attack = summary.task, summary.headline.attack.label
    score, other, loss = _names(task)
    return [
        draw_picture(
            score,
            f"{task.score.name} against budget, one panel per attack; 0 is clean. "
            "Lines: mean over seeds; bands: lowest to highest seed. Budgets of different "
            f"domains or norms are not comparable.{_decibels(summary)}{_apart(summary)}",
            draw_curves(summary, task.score),
        ),
        draw_picture(
            other,
            f"{task.other.name}, against budget; drawn as above.",
            draw_curves(summary, task.other),
        ),
        draw_picture(
            loss,
            f"Loss under {attack} at every budget: {task.loss.name} {task.score.label}. "
            "Bars: mean over seeds; dots: seeds.",
            draw_loss(summary),
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


def _with_concepts(summary: Summary) -> list[SystemSummary]:
    return [
        system
        for system in summary.systems
        if summary.headline in system.attacked and system.attacked[summary.headline].concept_change
    ]
