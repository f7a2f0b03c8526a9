"""Predicting real values, with or without a concept bottleneck."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from steadyear.foundation.task import REGRESSION
from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.metrics import ClipPredictions, regression_scores
from steadyear.lightning_modules.modules.base import BaseModule, Batch
from steadyear.lightning_modules.networks.heads import LinearHead
from steadyear.lightning_modules.outputs import Output

HeadCallable = Callable[[int], nn.Module]
"""Makes a head from the number of values in an embedding."""


class RegressionModule(BaseModule):
    """Predicts ratings, and concepts where its head has a bottleneck.

    The joint loss is target_weight * MSE(targets) + concept_weight * MSE(concepts), as in Chowdhury
    et al. (ISMIR 2019): A2E and A2B2E weigh (1, 0), A2M2E (0.5, 0.5).

    Args:
        network: Maps spectrograms (batch, 1, height, width) to embeddings, and has the attribute
            ``embedding_dim``.
        head: Makes the head from ``embedding_dim``: A2E, A2M2E or A2B2E.
        frontend: Turns waveforms into the network's input.
        target_weight: Weight of the mean squared error of the targets.
        concept_weight: Weight of the mean squared error of the concepts.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate schedule from the optimiser, stepped once per epoch.

    Raises:
        TypeError: If a network does not say its ``embedding_dim``.
        ValueError: If ``concept_weight`` contradicts what the head stands for.
    """

    task = REGRESSION.name

    def __init__(
        self,
        network: nn.Module,
        head: HeadCallable,
        frontend: Frontend | None = None,
        target_weight: float = 1.0,
        concept_weight: float = 0.0,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(network, frontend, optimizer, lr_scheduler)
        self.remember_configuration()
        embedding_dim = getattr(network, "embedding_dim", None)
        if not isinstance(embedding_dim, int):
            raise TypeError(f"{type(network).__name__} needs an integer embedding_dim attribute.")
        self.head = head(embedding_dim)
        _check_supervision(self.head, concept_weight)
        self.target_weight = target_weight
        self.concept_weight = concept_weight
        self.target_names: list[str] = []
        self.concept_names: list[str] = []
        self._targets = ClipPredictions()
        self._concepts = ClipPredictions()

    def setup(self, stage: str) -> None:
        """Fit the front end, and take the names of targets and concepts from the data.

        Args:
            stage: What the Trainer is about to do.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        self.target_names = list(getattr(data, "target_names", []))
        self.concept_names = list(getattr(data, "concept_names", []))

    def forward(self, x: Tensor) -> Output:
        """Predict from waveforms (batch, time) or spectrograms (batch, 1, height, width)."""
        embedding = self.embed(x)
        prediction, concepts = self.head(embedding)
        return Output(prediction, concepts, embedding)

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """Weighted sum of the mean squared errors of targets and concepts.

        Raises:
            ValueError: If the data and the head disagree in the number of targets or concepts.
        """
        loss = self.target_weight * self._squared_error(
            output.prediction, batch["target"], "num_targets"
        )
        if self.concept_weight == 0:
            return loss
        if output.concepts is None or "concepts" not in batch:
            missing = (
                "head has no bottleneck" if output.concepts is None else "data has no concepts"
            )
            raise ValueError(f"concept_weight is {self.concept_weight:g}, but the {missing}.")
        error = self._squared_error(output.concepts, batch["concepts"], "num_concepts")
        return loss + self.concept_weight * error

    def _squared_error(self, values: Tensor, truth: Tensor, setting: str) -> Tensor:
        if values.shape != truth.shape:
            raise ValueError(
                f"The head gives {values.shape[-1]} values and the data has {truth.shape[-1]}: "
                f"set model.head.{setting} to {truth.shape[-1]}."
            )
        return F.mse_loss(values, truth)

    def scores(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """Scores of a set of clips; what robustness is reported in.

        Args:
            prediction: Predictions, shape (clips, num_targets).
            target: True values, same shape.
        """
        return regression_scores(prediction, target, self.target_names)

    @property
    def part_names(self) -> list[str] | None:
        """Names of the parts of a prediction; see ``prediction_parts``.

        Empty where the parts are the features of the embedding; ``None`` where the head's last
        layer is not linear, and predictions have no parts.
        """
        if not isinstance(self.head, LinearHead):
            return None
        return self.head.part_names(self.concept_names)

    def prediction_parts(self, output: Output) -> Tensor:
        """Split predictions into what each input of the head's last layer adds to them.

        Args:
            output: What the module returned.

        Returns:
            Parts, shape (batch, num_targets, inputs), whose sum differs from the prediction by the
            same bias for every clip.

        Raises:
            TypeError: If the last layer of the head is not linear.
        """
        inputs = output.embedding if output.concepts is None else output.concepts
        if not isinstance(self.head, LinearHead) or inputs is None:
            raise TypeError(f"Predictions of {type(self.head).__name__} have no linear parts.")
        return self.head.parts(inputs)

    def clip_losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Root mean squared error of each clip, shape (clips,); what robustness scores compare.

        Args:
            prediction: Predictions, shape (clips, num_targets).
            target: True values, same shape.
        """
        return (prediction - target).square().mean(1).sqrt()

    def collect(self, output: Output, batch: Batch) -> None:
        """Keep predictions of targets and concepts by the clips' index.

        Raises:
            ValueError: If the data and the head disagree in the number of targets or concepts.
        """
        self.loss(output, batch)  # checks what belongs together
        self._targets.update(output.prediction, batch["target"], batch["index"])
        if output.concepts is not None and "concepts" in batch:
            self._concepts.update(output.concepts, batch["concepts"], batch["index"])

    def epoch_scores(self) -> dict[str, float]:
        """Loss, scores of the targets, and under ``concepts/`` those of the concepts.

        ``score`` is what the MER study selects models by: the mean correlation of the targets, plus
        that of the concepts where the model has a bottleneck.
        """
        prediction, target = self._targets.compute()
        scores = self.scores(prediction, target)
        score = scores["pearson"]
        loss = self.target_weight * F.mse_loss(prediction, target)
        self._targets.reset()
        if self._concepts.update_called:
            prediction, truth = self._concepts.compute()
            concepts = regression_scores(prediction, truth, self.concept_names)
            scores |= {f"concepts/{name}": value for name, value in concepts.items()}
            score += concepts["pearson"]
            loss = loss + self.concept_weight * F.mse_loss(prediction, truth)
            self._concepts.reset()
        return {"loss": loss.item(), "score": score} | scores


def _check_supervision(head: nn.Module, concept_weight: float) -> None:
    supervised = getattr(head, "supervised_concepts", None)
    if supervised is True and concept_weight <= 0:
        raise ValueError(
            f"{type(head).__name__} learns its concepts from labels: give model.concept_weight a "
            "positive value, or use A2B2E, the bottleneck without supervision."
        )
    if supervised is False and concept_weight != 0:
        raise ValueError(
            f"{type(head).__name__} learns no concepts from labels: leave model.concept_weight at "
            f"0 (it is {concept_weight:g}), or use A2M2E."
        )
