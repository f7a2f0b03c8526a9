"""What modules that recognise classes share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.metrics import ClipMean, MulticlassMetrics, MultilabelMetrics
from steadyear.lightning_modules.modules.base import BaseModule, Batch, Stage
from steadyear.lightning_modules.modules.regression import HeadCallable
from steadyear.lightning_modules.outputs import Output


class Classifier(BaseModule):
    """Predicts one logit per class.

    Args:
        network: Maps spectrograms (batch, 1, height, width) to what the head reads, for bird models
            a map (batch, channels, h, w), and has the attribute ``embedding_dim``, the number of
            channels.
        head: Makes the head from ``embedding_dim``. The head gives logits and the activations of
            its prototypes, or ``None``; its ``regularization()``, if it has one, adds to the loss.
        frontend: Turns waveforms into the network's input.
        loss: Loss of logits and targets; ``None`` stands for ``AsymmetricLoss()`` of labels and the
            cross-entropy of single classes. A method ``per_clip`` that gives one value per clip
            saves time.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate schedule from the optimiser, stepped once per epoch;
            ``WarmupCosine`` is stepped after every step of the optimiser.
        parameter_groups: The optimiser's settings by pattern of parameter names, such as
            ``{"head.prototype_vectors": {"lr": 0.01, "weight_decay": 0.0}}``; ``*`` stands for any
            letters, and the first pattern that matches counts.

    Raises:
        TypeError: If a network does not say its ``embedding_dim``.
    """

    default_loss: ClassVar[type[nn.Module]]
    """Loss where none is given."""

    metrics_class: ClassVar[type[MulticlassMetrics | MultilabelMetrics]]
    """Collects logits and targets, and gives the scores of an epoch."""

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
        super().__init__(network, frontend, optimizer, lr_scheduler, parameter_groups)
        self.remember_configuration()
        embedding_dim = getattr(network, "embedding_dim", None)
        if not isinstance(embedding_dim, int):
            raise TypeError(f"{type(network).__name__} needs an integer embedding_dim attribute.")
        self.head = head(embedding_dim)
        self.loss_function = self.default_loss() if loss is None else loss
        self.class_names: list[str] = []
        self._scores = self.metrics_class()
        self._losses = ClipMean()

    def setup(self, stage: str) -> None:
        """Fit the front end, and take the names of the classes from the data.

        Raises:
            ValueError: If the head has another number of classes.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        self.class_names = list(getattr(data, "target_names", []))
        classes = getattr(self.head, "num_classes", None)
        if self.class_names and isinstance(classes, int):
            self._check_classes(classes, len(self.class_names))

    def _check_classes(self, head: int, data: int) -> None:
        if head != data:
            raise ValueError(
                f"The head gives {head} classes and the data has {data}: set "
                f"model.head.num_classes to {data}, or select the data's classes."
            )

    def forward(self, x: Tensor) -> Output:
        """Predict from waveforms (batch, time) or spectrograms (batch, 1, height, width)."""
        embedding = self.embed(x)
        logits, activations = self.head(embedding)
        return Output(logits, embedding=embedding, prototype_activations=activations)

    @abstractmethod
    def clip_losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss of each clip without regularisation, shape (clips,)."""

    @abstractmethod
    def _target(self, logits: Tensor, batch: Batch) -> Tensor:
        """The target of a batch in the form that the loss needs; an error if it has another."""

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """Loss of the logits, plus the head's regularisation if it has one.

        Raises:
            ValueError: If targets have another form, or the head another number of classes.
        """
        target = self._target(output.prediction, batch)
        loss: Tensor = self.loss_function(output.prediction, target)
        return loss + self._regularization()

    def _regularization(self) -> Tensor | float:
        regularization = getattr(self.head, "regularization", None)
        return regularization() if callable(regularization) else 0.0

    def collect(self, output: Output, batch: Batch) -> None:
        """Keep logits and losses by the clips' index.

        Raises:
            ValueError: If targets have another form, or the head another number of classes.
        """
        target = self._target(output.prediction, batch)
        self._losses.update(self.clip_losses(output.prediction, target), batch["index"])
        self._scores.update(output.prediction, target, batch["index"])

    def epoch_scores(self) -> dict[str, float]:
        """Mean loss of a clip with the regularisation, and the scores of all clips."""
        self._scores.names = self.class_names
        loss = self._losses.compute().item() + float(self._regularization())
        scores = {name: value.item() for name, value in self._scores.compute().items()}
        self._losses.reset()
        self._scores.reset()
        return {"loss": loss} | scores

    def _log_scores(self, stage: Stage) -> None:
        for name, value in self.epoch_scores().items():
            # In validation thousands of classes may come again every epoch.
            if stage == "test" or "/" not in name:
                self.log(f"{stage}/{name}", value, prog_bar=name == "loss")
