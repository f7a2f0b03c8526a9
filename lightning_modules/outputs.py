"""What a network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """The typed output of every module.

    Attributes:
        prediction: What the task asks for, shape (batch, num_targets).
        concepts: Values of the bottleneck, shape (batch, num_concepts), where there is one.
        embedding: What the head reads, shape (batch, embedding_dim), or a map of features
            (batch, embedding_dim, height, width).
        prototype_activations: How much each prototype was found in a clip, shape
            (batch, prototypes), where the head has prototypes.
    """

    prediction: Tensor
    concepts: Tensor | None = None
    embedding: Tensor | None = None
    prototype_activations: Tensor | None = None
