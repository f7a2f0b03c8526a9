"""What differs between tasks: their scores, which direction is better, and their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steadyear.compare.scores import multiclass
from steadyear.compare.scores.multilabel import (
    data_set_robustness,
    drawn_cmap,
    labels_of_scores,
    multilabel,
)
from steadyear.compare.scores.regression import regression
from steadyear.foundation import task
from steadyear.foundation.task import Task

Floats = NDArray[np.float64]
Figures = tuple[dict[str, float], dict[str, float]]
"""Scores of a set of clips by name, and one score of every target."""


class Score(NamedTuple):
    """A score of a set of clips.

    Attributes:
        key: Its name among the metrics.
        label: What tables and axes call it.
        name: The same in words.
    """

    key: str
    label: str
    name: str


class Column(NamedTuple):
    """A column of the table with one row per system.

    Attributes:
        head: Its name.
        key: Name of the metric.
        attacked: Whether it is that of the headline attack, not of the clean clips.
        digits: Digits after the decimal point.
    """

    head: str
    key: str
    attacked: bool
    digits: int = 3


class ClipErrors(NamedTuple):
    """The error of a single clip, which pooled tests compare.

    Attributes:
        name: What tables call it.
        change: What tables call attacked minus clean error.
        source: Whose way to pool clips it is, to be put behind a comma; empty where it is ours.
        meaning: What the error is, as a sentence; empty where its name says it.
    """

    name: str
    change: str
    source: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class TaskReport:
    """How a task is reported: what tables, tests and figures ask instead of knowing it.

    Attributes:
        task: The task.
        figures: Gives the scores of a set of clips from predictions, targets, both of shape (clips,
            targets), and the names of the targets.
        score: What systems are judged by.
        other: What is shown beside it.
        loss: What the score loses under attack, positive for the worse.
        target: The score of a single target; its key is the name of these in `summary.json`.
        robustness: Gives the robustness score of the data set from the score without and under
            attack; ``None`` where there is no such score.
        strength: Metric that is largest for the strongest attack.
        clips: The error of a single clip.
        drawn: Gives the score of clips that are drawn again and again, shape (draws,), from
            predictions and targets; ``None`` where the score is the mean of the clips' errors.
        columns: Scores in the table with one row per system.
        has_range: Whether the lowest and highest predictions can be compared with the targets.
        glossary: What the scores without attack are.
        loss_glossary: What the columns under attack are, where that is not clear.
        undefined: Says of which targets the score is undefined, and why; with a place for names.
        targets: What one output is called, and several.
        labels_of_scores: Gives the name of every score in the table of them all; ``None`` where there
            is no such table.
        scores_glossary: What that table says beside ``glossary``.
        target_width: Number of values in the target of a clip; ``None`` for one per output.
    """

    task: Task
    figures: Callable[[Floats, Floats, Sequence[str]], Figures]
    score: Score
    other: Score
    loss: Score
    target: Score
    robustness: Callable[[float, float], float] | None
    strength: str
    clips: ClipErrors
    drawn: Callable[[Floats, Floats], Floats] | None
    columns: tuple[Column, ...]
    has_range: bool
    glossary: str
    loss_glossary: str
    undefined: str
    targets: tuple[str, str]
    labels_of_scores: Callable[[], Mapping[str, str]] | None = None
    scores_glossary: str = ""
    target_width: int | None = None

    @property
    def mean_over_clips(self) -> bool:
        """Whether the score is the mean of the clips' errors, not one of all clips together."""
        return self.drawn is None

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def higher_is_better(self) -> bool:
        """Whether more of ``score`` is better."""
        return self.task.higher_is_better

    def lost(self, clean: float, attacked: float) -> float:
        """What the score loses, positive for the worse."""
        return self.task.loss_of_score(clean, attacked)


REGRESSION: Final = TaskReport(
    task=task.REGRESSION,
    figures=regression,
    score=Score(task.REGRESSION.score, "MAE", "Mean absolute error"),
    other=Score("pearson", "r", "Pearson's r over clips, mean over targets"),
    loss=Score("delta_mae", "ΔMAE", "attacked minus clean"),
    target=Score("target_pearson", "r", "Pearson's r over clips"),
    robustness=None,
    strength="mae",
    clips=ClipErrors("attacked MAE", "ΔMAE", ", as in the published study"),
    drawn=None,
    columns=(
        Column("clean r", "pearson", attacked=False, digits=2),
        Column("clean MAE", "mae", attacked=False),
        Column("attacked r", "pearson", attacked=True, digits=2),
        Column("attacked MAE", "mae", attacked=True),
        Column("ΔMAE", "delta_mae", attacked=True),
    ),
    has_range=True,
    glossary="r = Pearson's r over clips, mean over targets; MAE = mean absolute error",
    loss_glossary="Δ = attacked minus clean; range = lowest..highest attacked prediction of all seeds",
    undefined=(
        "Pearson's r is undefined for {}, because a prediction or a target is constant or not finite."
    ),
    targets=("target", "targets"),
)

MULTILABEL: Final = TaskReport(
    task=task.MULTILABEL,
    figures=multilabel,
    score=Score(task.MULTILABEL.score, "cmAP", "Class-wise mean average precision"),
    other=Score("auroc", "AUROC", "Area under the ROC curve, mean over classes"),
    loss=Score("cmap_drop", "cmAP drop", "clean minus attacked"),
    target=Score("target_ap", "AP", "Average precision of each class that occurs"),
    robustness=data_set_robustness,
    strength="cmap_drop",
    clips=ClipErrors(
        "attacked error",
        "Δerror",
        meaning="The error of a clip is 1 minus the label ranking average precision; for a clip "
        "without labels it is the highest probability of any class.",
    ),
    drawn=drawn_cmap,
    columns=(
        Column("clean cmAP", "cmap", attacked=False),
        Column("attacked cmAP", "cmap", attacked=True),
        Column("cmAP drop", "cmap_drop", attacked=True),
        Column("cmAP PRS", "prs_cmap", attacked=True, digits=2),
        Column("PRS", "prs", attacked=True, digits=2),
        Column("attacked AUROC", "auroc", attacked=True, digits=2),
        Column("attacked top-1", "top1", attacked=True, digits=2),
    ),
    has_range=False,
    glossary=(
        "cmAP = mean average precision of the classes that occur; AUROC = mean over classes; "
        "top-1 = share of the clips with labels whose highest score belongs to one of them"
    ),
    loss_glossary=(
        "drop = clean minus attacked; PRS = performance robustness score, 1 where nothing was "
        "lost: that of the data set from cmAP (ours), and the mean over clips from their losses"
    ),
    undefined="average precision is undefined for {}, because a prediction is not a number.",
    targets=("class", "classes"),
    labels_of_scores=labels_of_scores,
    scores_glossary=(
        "with no-calls = of all clips, a clip without labels is right if no class reaches a "
        "probability of 0.5; micro AP = all labels together, as if of one class"
    ),
)

MULTICLASS: Final = TaskReport(
    task=task.MULTICLASS,
    figures=multiclass.multiclass,
    score=Score(task.MULTICLASS.score, "accuracy", "Accuracy"),
    other=Score("macro_f1", "macro F1", "F1 score, mean over classes"),
    loss=Score("accuracy_drop", "accuracy drop", "clean minus attacked"),
    target=Score("target_recall", "recall", "Recall of each class that occurs"),
    robustness=None,
    strength="accuracy_drop",
    clips=ClipErrors(
        "attacked error",
        "Δerror",
        meaning="The error of a clip is 1 where its class is not recognised, else 0.",
    ),
    drawn=multiclass.drawn_accuracy,
    columns=(
        Column("clean accuracy", "accuracy", attacked=False),
        Column("attacked accuracy", "accuracy", attacked=True),
        Column("accuracy drop", "accuracy_drop", attacked=True),
        Column("attacked macro F1", "macro_f1", attacked=True, digits=2),
        Column("PRS", "prs", attacked=True, digits=2),
    ),
    has_range=False,
    glossary=(
        "accuracy = share of the clips whose highest logit belongs to their class; macro F1 = mean "
        "over classes"
    ),
    loss_glossary=(
        "drop = clean minus attacked; PRS = performance robustness score, 1 where nothing was "
        "lost, mean over clips from their losses"
    ),
    undefined="recall is undefined for {}, because a prediction is not a number.",
    targets=("class", "classes"),
    labels_of_scores=multiclass.labels_of_scores,
    scores_glossary="balanced accuracy = mean recall; ECE = expected calibration error, 15 bins",
    target_width=1,
)

TASKS: Final[Mapping[str, TaskReport]] = {
    each.name: each for each in (REGRESSION, MULTILABEL, MULTICLASS)
}
