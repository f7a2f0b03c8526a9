"""From a map of features to the logits of bird species, with a linear layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-12
INITIAL_STD = 0.02


def check_rows(rows: Sequence[int], num_classes: int) -> Tensor:
    """The numbers of selected classes as a tensor.

    Args:
        rows: Numbers of the classes, from 0.
        num_classes: Number of classes to select from.

    Raises:
        ValueError: If there is none, or one is not a class.
    """
    if not rows or min(rows) < 0 or max(rows) >= num_classes:
        raise ValueError(f"Select among the classes 0 to {num_classes - 1}, not {list(rows)[:20]}.")
    return torch.tensor(list(rows))


class ConvNeXtHead(nn.Module):
    """The classifier of ConvNeXt: spatial mean, layer normalisation, one linear layer.

    Args:
        embedding_dim: Channels of the map.
        num_classes: Number of classes.
    """

    def __init__(self, embedding_dim: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layernorm = nn.LayerNorm(embedding_dim, eps=LAYER_NORM_EPS)
        self.classifier = nn.Linear(embedding_dim, num_classes)
        nn.init.normal_(self.classifier.weight, std=INITIAL_STD)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute the logits.

        Args:
            embedding: Map of features, shape (batch, ``embedding_dim``, height, width).

        Returns:
            Logits, shape (batch, ``num_classes``), and ``None`` for the prototypes.
        """
        return self.classifier(self.layernorm(embedding.mean((-2, -1)))), None

    def select(self, rows: Sequence[int]) -> ConvNeXtHead:
        """A head of its own for some of the classes, with their weights.

        Args:
            rows: Numbers of the classes, in the wanted order.

        Raises:
            ValueError: If there is none, or one is not a class.
        """
        weight = self.classifier.weight.detach()
        chosen = check_rows(rows, self.num_classes).to(weight.device)
        head = ConvNeXtHead(weight.shape[1], len(rows)).to(weight)
        head.layernorm.load_state_dict(self.layernorm.state_dict())
        with torch.no_grad():
            head.classifier.weight.copy_(weight[chosen])
            head.classifier.bias.copy_(self.classifier.bias[chosen])
        return head
