"""A head on the mean of a map of features."""

from __future__ import annotations

from torch import Tensor, nn


class MeanHead(nn.Module):
    """A linear layer on the spatial mean.

    Args:
        embedding_dim: Channels of the map.
        num_classes: Number of logits.
    """

    def __init__(self, embedding_dim: int = 8, num_classes: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_dim, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, shape (batch, num_classes)."""
        logits: Tensor = self.linear(features.mean((-1, -2)))
        return logits
