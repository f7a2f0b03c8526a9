"""Recognising any number of classes in a clip."""

from __future__ import annotations

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from steadyear.foundation.task import MULTILABEL
from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.losses import AsymmetricLoss
from steadyear.lightning_modules.metrics import (
    MultilabelMetrics,
    multilabel_scores,
    ranking_errors,
)
from steadyear.lightning_modules.modules.base import Batch
from steadyear.lightning_modules.modules.classifier import Classifier
from steadyear.lightning_modules.modules.regression import HeadCallable


class MultiLabelModule(Classifier):
    """Predicts one logit per class; a clip may have several classes or none.

    Args:
        network: Maps spectrograms (batch, 1, height, width) to what the head reads, for bird models
            a map (batch, channels, h, w), and has the attribute ``embedding_dim``, the number of
            channels.
        head: Makes the head from ``embedding_dim``. The head gives logits and the activations of
            its prototypes, or ``None``; its ``regularization()``, if it has one, adds to the loss.
        frontend: Turns waveforms into the network's input.
        loss: Loss of logits and multi-hot targets; ``None`` stands for ``AsymmetricLoss()``. A
            method ``per_clip`` that gives one value per clip saves time.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate schedule from the optimiser, stepped once per epoch;
            ``WarmupCosine`` is stepped after every step of the optimiser.
        parameter_groups: The optimiser's settings by pattern of parameter names, such as
            ``{"head.prototype_vectors": {"lr": 0.01, "weight_decay": 0.0}}``; ``*`` stands for any
            letters, and the first pattern that matches counts.

    Raises:
        TypeError: If a network does not say its ``embedding_dim``.
    """

    task = MULTILABEL.name

    def __init__(
        self,
        network: nn.Module,
        head: HeadCallable,
        frontend: Frontend | None = None,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        parameter_groups: dict[str, dict[str, float]] | None = None,
    ) -> None:
        loss = AsymmetricLoss() if loss is None else loss
        settings = (frontend, optimizer, lr_scheduler, parameter_groups)
        super().__init__(network, head, loss, MultilabelMetrics(), *settings)

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
