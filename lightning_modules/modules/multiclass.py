"""Recognising the one class of a clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from steadyear.foundation.task import MULTICLASS
from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.metrics import (
    MulticlassMetrics,
    class_numbers,
    multiclass_scores,
)
from steadyear.lightning_modules.modules.base import Batch
from steadyear.lightning_modules.modules.classifier import Classifier
from steadyear.lightning_modules.modules.regression import HeadCallable


class MultiClassModule(Classifier):
    """Predicts one logit per class; a clip has exactly one class.

    Targets are class numbers (batch,), which the attacks on classes need; one-hot labels (batch,
    classes) train, too.

    Args:
        network: Maps spectrograms (batch, 1, height, width) to what the head reads, and has the
            attribute ``embedding_dim``.
        head: Makes the head from ``embedding_dim``. The head gives logits and the activations of
            its prototypes, or ``None``; its ``regularization()``, if it has one, adds to the loss.
        frontend: Turns waveforms into the network's input.
        loss: Loss of logits and class numbers; ``None`` stands for the cross-entropy.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate schedule from the optimiser, stepped once per epoch;
            ``WarmupCosine`` is stepped after every step of the optimiser.
        parameter_groups: The optimiser's settings by pattern of parameter names, such as
            ``{"head.*": {"lr": 0.01}}``; ``*`` stands for any letters, and the first pattern that
            matches counts.

    Raises:
        TypeError: If a network does not say its ``embedding_dim``.
    """

    task = MULTICLASS.name

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
        loss = nn.CrossEntropyLoss() if loss is None else loss
        settings = (frontend, optimizer, lr_scheduler, parameter_groups)
        super().__init__(network, head, loss, MulticlassMetrics(), *settings)

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
