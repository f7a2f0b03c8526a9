"""From the embedding of a clip to its emotions, straight or through a concept bottleneck.

Chowdhury et al., "Towards explainable music emotion recognition" (ISMIR 2019): audio to emotion,
and audio to mid-level features to emotion. Every head gives ``(prediction, concepts)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from steadyear.lightning_modules.networks.initialization import kaiming_normal


class LinearHead(nn.Module):
    """A head whose last layer is linear: each emotion is a sum of parts, one per input, and a bias.

    Attributes:
        to_targets: The last layer.
    """

    to_targets: nn.Linear

    def parts(self, inputs: Tensor) -> Tensor:
        """Split the emotions into what each input of the last layer adds to them.

        The bias is left out: it cancels in the difference of two predictions, which is exactly the
        sum of the differences of their parts.

        Args:
            inputs: What the last layer reads, shape (batch, inputs).

        Returns:
            Weight times input, shape (batch, targets, inputs).
        """
        return inputs.unsqueeze(1) * self.to_targets.weight

    def part_names(self, concept_names: Sequence[str]) -> list[str]:
        """Name the inputs of the last layer.

        Args:
            concept_names: Names of the concepts in the data.

        Returns:
            One name per input; empty where the inputs are nothing but features.
        """
        return []


class A2E(LinearHead):
    """Audio to emotion: one linear layer, no concepts.

    Args:
        embedding_dim: Size of the embedding.
        num_targets: Number of emotions.
    """

    supervised_concepts: ClassVar[bool] = False
    """Whether the concepts are meant to be trained on labels."""

    def __init__(self, embedding_dim: int, num_targets: int) -> None:
        super().__init__()
        self.to_targets = nn.Linear(embedding_dim, num_targets)
        self.apply(kaiming_normal)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predict the emotions.

        Args:
            embedding: Embeddings, shape (batch, ``embedding_dim``).

        Returns:
            Emotions, shape (batch, ``num_targets``), and ``None`` for the concepts.
        """
        return self.to_targets(embedding), None


class A2M2E(LinearHead):
    """Audio to mid-level features to emotion: a linear bottleneck whose units are concepts.

    Nothing stands between the two linear layers or behind them, so an emotion is a weighted sum of
    the concepts.

    Args:
        embedding_dim: Size of the embedding.
        num_targets: Number of emotions.
        num_concepts: Number of concepts, the width of the bottleneck.
    """

    supervised_concepts: ClassVar[bool] = True
    """Whether the concepts are meant to be trained on labels."""

    def __init__(self, embedding_dim: int, num_targets: int, num_concepts: int = 7) -> None:
        super().__init__()
        self.to_concepts = nn.Linear(embedding_dim, num_concepts)
        self.to_targets = nn.Linear(num_concepts, num_targets)
        self.apply(kaiming_normal)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predict the concepts, and the emotions from nothing else.

        Args:
            embedding: Embeddings, shape (batch, ``embedding_dim``).

        Returns:
            Emotions, shape (batch, ``num_targets``), and concepts, shape (batch, ``num_concepts``).
        """
        concepts = self.to_concepts(embedding)
        return self.to_targets(concepts), concepts

    def part_names(self, concept_names: Sequence[str]) -> list[str]:
        """Name the parts after the concepts; see the base class."""
        width = self.to_targets.in_features
        fits = len(concept_names) == width
        return list(concept_names) if fits else [f"concept {i}" for i in range(width)]


class A2B2E(A2M2E):
    """Audio to bottleneck to emotion: the bottleneck of :class:`A2M2E` without its supervision.

    The same layers; the units of the bottleneck get no labels and therefore mean nothing by
    themselves. Compared with :class:`A2M2E` it tells what the supervision does, and compared with
    :class:`A2E` what the bottleneck does.

    Args:
        embedding_dim: Size of the embedding.
        num_targets: Number of emotions.
        num_concepts: Width of the bottleneck.
    """

    supervised_concepts: ClassVar[bool] = False

    def part_names(self, concept_names: Sequence[str]) -> list[str]:
        """Number the units, which mean nothing by themselves; see the base class."""
        return [f"unit {i}" for i in range(self.to_targets.in_features)]
