"""Robust terms of TRADES: how far the attacked prediction is from where it should be."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn


class RobustTerm(ABC):
    """What TRADES adds to the loss of the clean batch."""

    @abstractmethod
    def __call__(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Compute the term, a scalar.

        Args:
            attacked: Prediction of the attacked batch.
            clean: Prediction of the clean batch, with its graph.
            target: Targets of the batch.
        """


class SoftTargets(RobustTerm):
    """A loss of the attacked logits against the clean probabilities; ``asl_soft`` with that loss.

    Args:
        loss: Mean loss of logits and targets between 0 and 1.
        detach: Keep the clean probabilities fixed; else they are pulled, too, as in TRADES.
    """

    def __init__(self, loss: nn.Module, detach: bool = False) -> None:
        self.loss = loss
        self.detach = detach

    def __call__(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Loss against the clean probabilities."""
        probability = clean.sigmoid()
        loss: Tensor = self.loss(attacked, probability.detach() if self.detach else probability)
        return loss


class HardTargets(RobustTerm):
    """A loss of the attacked prediction against the target; ``asl_hard`` with that loss.

    Args:
        loss: Mean loss of predictions and targets.
    """

    def __init__(self, loss: nn.Module) -> None:
        self.loss = loss

    def __call__(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Loss against the target."""
        loss: Tensor = self.loss(attacked, target)
        return loss


class BernoulliKL(RobustTerm):
    """Divergence of every label's attacked from its clean probability, for multi-label logits.

    KL(clean || attacked), averaged over clips and labels.
    """

    def __call__(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Mean divergence."""
        p = clean.sigmoid()
        positive = p * (F.logsigmoid(clean) - F.logsigmoid(attacked))
        negative = (1 - p) * (F.logsigmoid(-clean) - F.logsigmoid(-attacked))
        return (positive + negative).mean()


class SoftmaxKL(RobustTerm):
    """Divergence of the attacked from the clean distribution, for single-label logits.

    KL(clean || attacked), averaged over clips: the term of TRADES (Zhang et al., 2019, eq. 5).
    """

    def __call__(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Mean divergence."""
        return F.kl_div(
            attacked.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True
        )


class SquaredChange(RobustTerm):
    """Mean squared change of the prediction, the counterpart for regression."""

    def __call__(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Mean squared change."""
        return F.mse_loss(attacked, clean)
