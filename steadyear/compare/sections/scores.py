"""Scores against the budget, and the change of concepts."""

from __future__ import annotations

from steadyear.compare.figures.bars import draw_concepts, draw_loss
from steadyear.compare.figures.curves import draw_curves
from steadyear.compare.load.cells import damaging, in_decibels
from steadyear.compare.render.picture import Picture, draw_picture
from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary, System


class ScoreFigures(Section):
    """Curves over budgets, the loss, and the change of concepts."""

    order = 20
    title = "Figures"
    figure_names = (
        *("robustness-mae", "robustness-r", "delta-mae", "concepts"),
        *("robustness-cmap", "robustness-auroc", "cmap-drop"),
    )

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
    return [
        draw_picture(
            f"robustness-{task.score.label.lower()}",
            f"{task.score.name} against budget, one panel per attack; 0 is clean. "
            "Lines: mean over seeds; bands: lowest to highest seed. Budgets of different "
            f"domains or norms are not comparable.{_decibels(summary)}{_apart(summary)}",
            draw_curves(summary, task.score),
        ),
        draw_picture(
            f"robustness-{task.other.label.lower()}",
            f"{task.other.name}, against budget; drawn as above.",
            draw_curves(summary, task.other),
        ),
        draw_picture(
            task.loss.key.replace("_", "-"),
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


def _with_concepts(summary: Summary) -> list[System]:
    return [
        system
        for system in summary.systems
        if summary.headline in system.attacked and system.attacked[summary.headline].concept_change
    ]
