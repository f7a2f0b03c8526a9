"""Recognising the one class of a clip."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.foundation.task import MULTICLASS
from steadyear.lightning_modules.metrics import (
    MulticlassMetrics,
    class_numbers,
    multiclass_scores,
)
from steadyear.lightning_modules.modules.base import Batch
from steadyear.lightning_modules.modules.classifier import Classifier


class MultiClassModule(Classifier):
    """Predicts one logit per class; a clip has exactly one class.

    Targets are class numbers (batch,), which the attacks on classes need; one-hot labels (batch,
    classes) train, too.
    """

    task = MULTICLASS.name
    default_loss = nn.CrossEntropyLoss
    metrics_class = MulticlassMetrics

    def _target(self, logits: Tensor, batch: Batch) -> Tensor:
        target, classes = batch["target"], logits.shape[1]
        if target.ndim == 2 and target.shape[1] > 1:
            self._check_classes(classes, target.shape[1])
        numbers = class_numbers(target)
        if int(numbers.min()) < 0:
            raise ValueError(f"Class numbers count from 0, and {int(numbers.min())} is among them.")
        if int(numbers.max()) >= classes:
            self._check_classes(classes, int(numbers.max()) + 1)
        return numbers

    def clip_losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each clip, shape (clips,); what robustness scores compare.

        Args:
            prediction: Logits, shape (clips, classes).
            target: Class numbers, shape (clips,), or one-hot labels.
        """
        return F.cross_entropy(prediction, class_numbers(target), reduction="none")

    def clip_errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        """1 for each clip whose class is not recognised, else 0, shape (clips,).

        Args:
            prediction: Logits, shape (clips, classes).
            target: Class numbers, shape (clips,), or one-hot labels.
        """
        return (prediction.argmax(1) != class_numbers(target)).double()

    def scores(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """Scores of a set of clips; what robustness is reported in.

        Args:
            prediction: Logits, shape (clips, classes).
            target: Class numbers, shape (clips,) or (clips, 1), or one-hot labels.
        """
        return multiclass_scores(prediction, target, self.class_names)
