"""What a model is trained to do, and how that is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from torch import Tensor

TaskName = Literal["regression", "multilabel", "multiclass"]
ClipMeasure = Callable[["Tensor", "Tensor"], "Tensor"]
"""One value per clip, shape (clips,), from predictions and targets."""


@dataclass(frozen=True)
class Task:
    """A task; a module states its own by name in an attribute ``task``.

    Attributes:
        name: Name in configurations and in the metadata of records.
        score: Name of the metric that systems are judged by.
        higher_is_better: Whether more of ``score`` is better.
        score_has_prs: Whether ``score`` lies between 0 and 1, so that the data set as a whole has a
            performance robustness score.
    """

    name: TaskName
    score: str
    higher_is_better: bool
    score_has_prs: bool = False

    def loss_of_score(self, clean: float, attacked: float) -> float:
        """How much worse ``score`` is under attack; positive for the worse."""
        return clean - attacked if self.higher_is_better else attacked - clean


REGRESSION: Final = Task("regression", "mae", higher_is_better=False)
MULTILABEL: Final = Task("multilabel", "cmap", higher_is_better=True, score_has_prs=True)
MULTICLASS: Final = Task("multiclass", "accuracy", higher_is_better=True)
TASKS: Final[Mapping[str, Task]] = {
    task.name: task for task in (REGRESSION, MULTILABEL, MULTICLASS)
}


def task_of(module: object) -> Task | None:
    """The task that a module states; ``None`` where it states none, or one that is not known here."""
    stated = getattr(module, "task", None)
    return TASKS.get(stated) if isinstance(stated, str) else None


def per_clip_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Error of each clip, shape (clips,): mean absolute error of real values, else wrong class."""
    if prediction.shape == target.shape:
        return (prediction - target).abs().flatten(1).mean(1)
    return (prediction.argmax(1) != target).double()


def clip_errors_of(module: object) -> ClipMeasure:
    """A module's own ``clip_errors(prediction, target)``, else ``per_clip_error``."""
    measure: ClipMeasure = getattr(module, "clip_errors", per_clip_error)
    return measure
