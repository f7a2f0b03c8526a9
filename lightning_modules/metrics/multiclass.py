"""Scores of single-label classifiers, by TorchMetrics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
)

from steadyear.lightning_modules.metrics.clip_predictions import ClipPredictions
from steadyear.lightning_modules.metrics.registry import registered_scores, score

BINS = 15
"""Bins of the calibration error, as in Guo et al. (ICML 2017)."""


def class_numbers(target: Tensor) -> Tensor:
    """Class numbers, shape (clips,), int64.

    Args:
        target: Class numbers, shape (clips,) or (clips, 1), or one-hot labels, shape (clips,
            classes).

    Raises:
        ValueError: If a row of labels has not exactly one class.
    """
    if target.ndim == 2 and target.shape[1] > 1:
        if not bool(((target == 1).sum(1) == 1).all() and ((target == 0) | (target == 1)).all()):
            raise ValueError(
                "A single-label classifier needs exactly one class per clip; for several or none "
                "use MultiLabelModule."
            )
        return target.argmax(1)
    return target.reshape(-1).long()


@score("multiclass", "accuracy")
def accuracy(prediction: Tensor, target: Tensor) -> float:
    """Share of clips whose highest logit belongs to their class."""
    return float(multiclass_accuracy(prediction, target, prediction.shape[1], average="micro"))


@score("multiclass", "balanced accuracy")
def balanced_accuracy(prediction: Tensor, target: Tensor) -> float:
    """Mean recall of the classes that occur."""
    recalls = class_recalls(prediction, target)
    return float(recalls[recalls.isfinite()].mean())


@score("multiclass", "macro F1")
def macro_f1(prediction: Tensor, target: Tensor) -> float:
    """Mean F1 score of the classes that occur or are predicted."""
    return float(multiclass_f1_score(prediction, target, prediction.shape[1], average="macro"))


@score("multiclass", "ECE")
def calibration_error(prediction: Tensor, target: Tensor) -> float:
    """Expected calibration error: confidence minus accuracy, absolute, mean over bins."""
    # TorchMetrics would take logits that happen to lie between 0 and 1 for probabilities.
    probability = prediction.softmax(1)
    return float(multiclass_calibration_error(probability, target, prediction.shape[1], BINS))


def class_recalls(prediction: Tensor, target: Tensor) -> Tensor:
    """Share of the clips of each class that are recognised, shape (classes,); NaN for absent ones.

    Args:
        prediction: Logits, shape (clips, classes).
        target: Class numbers, shape (clips,).
    """
    classes = prediction.shape[1]
    hits = target[prediction.argmax(1) == target].bincount(minlength=classes)
    return hits.double() / target.bincount(minlength=classes)


def multiclass_scores(
    prediction: Tensor, target: Tensor, names: Sequence[str] = ()
) -> dict[str, float]:
    """All scores of a set of clips.

    Args:
        prediction: Logits, shape (clips, classes).
        target: Class numbers, shape (clips,) or (clips, 1), or one-hot labels.
        names: Names of the classes; with them each class's recall is given as well.

    Returns:
        ``accuracy``, ``balanced_accuracy``, ``macro_f1`` and ``calibration_error``, NaN if a logit
        is; and ``recall/<name>`` for every named class that occurs.
    """
    target = class_numbers(target)
    # TorchMetrics counts NaN as the highest logit, so that a diverged model would get a score.
    broken = bool(prediction.isnan().any())
    scores = registered_scores("multiclass", prediction.nan_to_num(), target)
    recalls = class_recalls(prediction, target)
    each = zip(names, recalls.tolist(), strict=True) if names else ()
    scores |= {f"recall/{name}": recall for name, recall in each if math.isfinite(recall)}
    return dict.fromkeys(scores, torch.nan) if broken else scores


class MulticlassMetrics(ClipPredictions):
    """All scores from one collection of logits and classes.

    Args:
        names: Names of the classes; with them each class's recall is given as well.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.names = list(names)

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: Logits, shape (batch, classes).
            target: Class numbers, shape (batch,).
            index: Stable numbers of the clips, shape (batch,).
        """
        super().update(prediction, F.one_hot(target, prediction.shape[1]), index)

    def compute(self) -> dict[str, Tensor]:
        """The scores of :func:`multiclass_scores`, scalars."""
        prediction, target = super().compute()
        found = multiclass_scores(prediction, target, self.names)
        return {name: torch.tensor(value) for name, value in found.items()}
