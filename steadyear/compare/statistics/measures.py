"""What pairs of systems are tested on: the score under attack, and what it lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from steadyear.compare.load.cells import Cell
from steadyear.compare.load.runs import Floats, Run
from steadyear.compare.scores.tasks import TaskReport


@dataclass(frozen=True)
class Values:
    """One measure of one run.

    Attributes:
        clips: Value of every clip, shape (clips,).
        score: Value of the run.
        drawn: Gives the value of the run on clips that are drawn again and again, shape (draws,);
            ``None`` where ``score`` is the mean of ``clips``.
    """

    clips: Floats
    score: float
    drawn: Callable[[], Floats] | None = None


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes:
        label: Name of the score, which tests over seeds compare.
        clips: Name of the error of a clip, which pooled tests compare.
    """

    label: str
    clips: str


def measures(task: TaskReport) -> tuple[Measure, Measure]:
    """The score under attack, and what it lost.

    Args:
        task: What the systems do.
    """
    return (
        Measure(f"attacked {task.score.label}", task.clips.name),
        Measure(task.loss.label, task.clips.change),
    )


def values(run: Run, cell: Cell) -> tuple[Values, Values]:
    """Both measures of a run, in the order of :func:`measures`.

    Args:
        run: The run.
        cell: Attack and budget, which it met.
    """
    attacked, task = run.attacked[cell], run.task
    lost = attacked.errors - run.errors
    if task.drawn is None:
        return _mean(attacked.errors), _mean(lost)
    before, after = _Condition(run, run.prediction), _Condition(run, attacked.prediction)
    sign = task.lost(0, 1)
    return (
        Values(attacked.errors, after.score, lambda: after.drawn),
        Values(
            lost,
            task.lost(before.score, after.score),
            lambda: sign * (after.drawn - before.drawn),
        ),
    )


def _mean(clips: Floats) -> Values:
    return Values(clips, float(clips.mean()))


@dataclass(frozen=True)
class _Condition:
    """A run without or under attack; what costs time is computed once, and only if wanted."""

    run: Run
    prediction: Floats

    @cached_property
    def score(self) -> float:
        names = self.run.names.targets
        metrics, _ = self.run.task.figures(self.prediction, self.run.target, names)
        return metrics[self.run.task.score.key]

    @cached_property
    def drawn(self) -> Floats:
        draw = self.run.task.drawn
        return np.empty(0) if draw is None else draw(self.prediction, self.run.target)
