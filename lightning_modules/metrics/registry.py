"""Scores that add to those of a task: one function each, found by its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from steadyear.foundation.task import TaskName

ScoreFunction = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class RegisteredScore:
    """A score of a set of clips.

    Attributes:
        label: What tables call it.
        compute: Gives it from predictions and targets.
    """

    label: str
    compute: ScoreFunction


_SCORES: Final[dict[TaskName, dict[str, RegisteredScore]]] = {}


def score(task: TaskName, label: str) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register a function as a score of a task, under its own name.

    It is logged by every module of the task and, for classes and labels, shown by ``compare``.

    Args:
        task: The task.
        label: What tables call it.

    Raises:
        ValueError: If the task has a score of this name.
    """

    def register(function: ScoreFunction) -> ScoreFunction:
        known = _SCORES.setdefault(task, {})
        name = function.__name__
        if name in known:
            raise ValueError(f"The task {task} has a score {name!r} already: rename the function.")
        known[name] = RegisteredScore(label, function)
        return function

    return register


def registered(task: TaskName) -> Mapping[str, RegisteredScore]:
    """The registered scores of a task by name, in the order of their registration."""
    return _SCORES.get(task, {})


def registered_scores(task: TaskName, prediction: Tensor, target: Tensor) -> dict[str, float]:
    """All registered scores of a set of clips.

    Args:
        task: The task.
        prediction: Predictions, shape (clips, outputs).
        target: True values, multi-hot labels (clips, outputs), or class numbers (clips,).
    """
    scores = registered(task).items()
    return {name: float(each.compute(prediction, target)) for name, each in scores}
