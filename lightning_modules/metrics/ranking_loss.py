"""The ranking loss of labels."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.functional.classification import multilabel_ranking_loss

from steadyear.lightning_modules.metrics.registry import score


@score("multilabel", "ranking loss")
def ranking_loss(prediction: Tensor, target: Tensor) -> float:
    """Share of pairs of a present and an absent class that stand in the wrong order."""
    return float(multilabel_ranking_loss(prediction, target.int(), prediction.shape[1]))
