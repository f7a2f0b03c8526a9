"""Recognising any number of classes in a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.foundation.task import MULTILABEL
from steadyear.lightning_modules.losses import AsymmetricLoss
from steadyear.lightning_modules.metrics import (
    MultilabelMetrics,
    multilabel_scores,
    ranking_errors,
)
from steadyear.lightning_modules.modules.base import Batch
from steadyear.lightning_modules.modules.classifier import Classifier


class MultiLabelModule(Classifier):
    """Predicts one logit per class; a clip may have several classes or none."""

    task = MULTILABEL.name
    default_loss = AsymmetricLoss
    metrics_class = MultilabelMetrics

    def _target(self, logits: Tensor, batch: Batch) -> Tensor:
        target: Tensor = batch["target"]
        if target.ndim != 2:
            raise ValueError(
                f"Multi-label targets are multi-hot, shape (batch, classes), not "
                f"{tuple(target.shape)}."
            )
        self._check_classes(logits.shape[1], target.shape[1])
        return target.to(logits.dtype)

    def clip_losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss of each clip without regularisation, shape (clips,); what robustness scores compare.

        Args:
            prediction: Logits, shape (clips, classes).
            target: Labels from 0 to 1, same shape.
        """
        target = target.to(prediction.dtype)
        per_clip = getattr(self.loss_function, "per_clip", None)
        if callable(per_clip):
            losses: Tensor = per_clip(prediction, target)
            return losses
        pairs = zip(prediction[:, None], target[:, None], strict=True)
        return torch.stack([self.loss_function(logits, labels) for logits, labels in pairs])

    def clip_errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Error of each clip from 0 to 1, shape (clips,), whatever the loss of the training.

        1 minus the label ranking average precision; for a clip without labels the highest
        probability of any class. The choice is ours.

        Args:
            prediction: Logits, shape (clips, classes).
            target: Labels, same shape.
        """
        return ranking_errors(prediction, target)

    def scores(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """Scores of a set of clips; what robustness is reported in.

        Args:
            prediction: Logits, shape (clips, classes).
            target: Labels, same shape.
        """
        return multilabel_scores(prediction, target, self.class_names)
