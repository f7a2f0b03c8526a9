"""From a map of features to the logits of bird species, through prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.lightning_modules.networks.bird_heads import check_rows
from steadyear.lightning_modules.networks.prototype_similarity import (
    EPS,
    MaxSimilarity,
    best_places,
    similarity_maps,
    unit_patches,
)


def at_least_single(values: Tensor) -> Tensor:
    """The values in fp32, or in fp64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class PrototypeMaps(NamedTuple):
    """Where a clip resembles the prototypes that speak loudest for a class.

    Attributes:
        prototypes: Numbers of the prototypes, loudest first, shape (batch, top_k).
        classes: Class of each, same shape.
        contributions: What each adds to the logit of its class, same shape.
        maps: Similarity over the map or the spectrogram, shape (batch, top_k, height, width).
    """

    prototypes: Tensor
    classes: Tensor
    contributions: Tensor
    maps: Tensor


class Matches(NamedTuple):
    """The best patch of a batch for each prototype whose class is in the batch.

    Attributes:
        prototypes: Numbers of the prototypes, shape (found,).
        similarities: Similarity of each with its patch, shape (found,).
        patches: Features at the most similar place, shape (found, channels).
    """

    prototypes: Tensor
    similarities: Tensor
    patches: Tensor


class ClassConnected(nn.Module):
    """Each class adds up its own prototypes with weights that count as 0 below 0.

    A weight that has become negative has no gradient any more.

    Args:
        num_classes: Number of classes.
        prototypes_per_class: Prototypes of each class.
    """

    def __init__(self, num_classes: int, prototypes_per_class: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_classes, prototypes_per_class))
        self.bias = nn.Parameter(torch.full((num_classes,), -2.0))

    def contributions(self, similarity: Tensor) -> Tensor:
        """What each prototype adds to its class, shape (batch, classes, prototypes per class)."""
        return similarity.view(-1, *self.weight.shape) * self.weight.relu()

    def forward(self, similarity: Tensor) -> Tensor:
        """Logits, shape (batch, classes)."""
        logits: Tensor = self.contributions(similarity).sum(-1) + self.bias
        return logits


class AudioProtoPNetHead(nn.Module):
    """The prototypes of AudioProtoPNet and its class-connected last layer.

    Heinrich et al., "AudioProtoPNet" (2025). The map is doubled in both directions by bilinear
    interpolation; a prototype is as active as its similarity with the most similar place, at
    least 0; a class's logit is a non-negative sum over its own prototypes, plus a bias. Prototype i
    belongs to class ``i // prototypes_per_class``. Computed in fp32, outside autocast: squares of
    features overflow in half precision.

    Args:
        embedding_dim: Channels of the map.
        num_classes: Number of classes.
        prototypes_per_class: Prototypes of each class; published are 1, 5, 10 and 20.
        init: ``uniform`` draws prototypes from [0, 1), as published: all start nearly parallel, with
            a cosine of about 0.75. ``normal`` draws them in all directions, as long as the others.
        chunk_size: Number of prototypes that are compared with the map at a time; bounds the memory,
            2.5 MB a clip for 1024 prototypes and a map of 8 x 19.

    Raises:
        ValueError: If a size is not positive, or ``init`` is unknown.
    """

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        prototypes_per_class: int = 5,
        init: Literal["uniform", "normal"] = "uniform",
        chunk_size: int = 1024,
    ) -> None:
        super().__init__()
        if min(embedding_dim, num_classes, prototypes_per_class, chunk_size) < 1:
            raise ValueError("All sizes of the prototype head must be positive.")
        if init not in ("uniform", "normal"):
            raise ValueError(f"init must be uniform or normal, not {init!r}.")
        self.num_classes = num_classes
        self.prototypes_per_class = prototypes_per_class
        self.chunk_size = chunk_size
        shape = (num_classes * prototypes_per_class, embedding_dim, 1, 1)
        vectors = torch.rand(shape) if init == "uniform" else torch.randn(shape) / 3**0.5
        self.prototype_vectors = nn.Parameter(vectors)
        self.last_layer = ClassConnected(num_classes, prototypes_per_class)

    @property
    def prototypes(self) -> Tensor:
        """Prototypes as vectors in at least single precision, shape (prototypes, channels)."""
        return at_least_single(self.prototype_vectors.flatten(1))

    def upsample(self, embedding: Tensor) -> Tensor:
        """The map at twice its resolution, in at least single precision."""
        features = at_least_single(embedding)
        return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and activations.

        Args:
            embedding: Map of features, shape (batch, ``embedding_dim``, height, width).

        Returns:
            Logits, shape (batch, ``num_classes``), and how active the prototypes are, from 0 to 1,
            shape (batch, ``num_classes * prototypes_per_class``).
        """
        with torch.autocast(embedding.device.type, enabled=False):
            patches, offset = unit_patches(self.upsample(embedding))
            similarity: Tensor = MaxSimilarity.apply(  # type: ignore[no-untyped-call]
                patches, offset, self.prototypes, self.chunk_size
            )
            activations = similarity.relu()
            return self.last_layer(activations), activations

    def orthogonality_residuals(self) -> Tensor:
        """How far the prototypes of each class are from orthonormal, shape (classes, k, k)."""
        k = self.prototypes_per_class
        with torch.autocast(self.prototype_vectors.device.type, enabled=False):
            own = self.prototypes.view(self.num_classes, k, -1)
            # The products hold the squared lengths, too: no second copy of all prototypes.
            products = own @ own.transpose(1, 2)
            length = torch.sqrt(products.diagonal(dim1=1, dim2=2) + EPS) + EPS
            scaled = products / (length.unsqueeze(1) * length.unsqueeze(2))
            residuals: Tensor = scaled - torch.eye(k, dtype=scaled.dtype, device=scaled.device)
            return residuals

    def regularization(self) -> Tensor:
        """Orthogonality loss, a scalar: the published one, which is tiny for many classes.

        The Frobenius norm of all residuals, divided by the number of residuals. With one prototype
        per class it is almost 0.
        """
        residuals = self.orthogonality_residuals()
        norm: Tensor = torch.linalg.vector_norm(residuals)
        return norm / residuals.numel()

    @torch.no_grad()
    def prototype_maps(
        self, embedding: Tensor, top_k: int = 5, size: tuple[int, int] | None = None
    ) -> PrototypeMaps:
        """The prototypes that add most to a logit, and where in the clip they are found.

        Args:
            embedding: Map of features, shape (batch, ``embedding_dim``, height, width).
            top_k: Number of prototypes for each clip.
            size: Height and width of the spectrogram, to which the maps are stretched by bilinear
                interpolation; ``None`` leaves them at twice the size of the map of features.
        """
        embedding = embedding.detach()
        contributions = self.last_layer.contributions(self(embedding)[1]).flatten(1)
        top, chosen = contributions.topk(min(top_k, contributions.shape[1]), dim=1)
        upsampled = self.upsample(embedding)
        patches, offset = unit_patches(upsampled)
        maps = torch.stack(
            [
                similarity_maps(places, constant, self.prototypes[rows])
                for places, constant, rows in zip(patches, offset, chosen, strict=True)
            ]
        )
        maps = maps.relu().transpose(1, 2).reshape(*chosen.shape, *upsampled.shape[-2:])
        if size is not None:
            maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        return PrototypeMaps(chosen, chosen // self.prototypes_per_class, top, maps)

    @torch.no_grad()
    def matches(self, embedding: Tensor, target: Tensor) -> Matches:
        """The patch that resembles each prototype most, among clips that have its class.

        Args:
            embedding: Map of features, shape (batch, ``embedding_dim``, height, width).
            target: Labels, shape (batch, ``num_classes``); a clip has the classes above 0.5.
        """
        has = target > 0.5
        k = self.prototypes_per_class
        present = has.any(0).nonzero().flatten()
        rows = (present.unsqueeze(1) * k + torch.arange(k, device=present.device)).flatten()
        if len(rows) == 0:
            return Matches(rows, embedding.new_zeros(0), embedding.new_zeros(0, embedding.shape[1]))
        upsampled = self.upsample(embedding)
        patches, offset = unit_patches(upsampled)
        similarity, places = best_places(patches, offset, self.prototypes[rows], self.chunk_size)
        similarity = similarity.masked_fill(~has[:, present].repeat_interleave(k, 1), -torch.inf)
        best, clip = similarity.max(0)
        place = places.gather(0, clip.unsqueeze(0)).squeeze(0)
        return Matches(rows, best, upsampled.flatten(2)[clip, :, place])

    def select(self, rows: Sequence[int]) -> AudioProtoPNetHead:
        """A head of its own for some of the classes, with their prototypes and weights.

        Args:
            rows: Numbers of the classes, in the wanted order.

        Raises:
            ValueError: If there is none, or one is not a class.
        """
        vectors = self.prototype_vectors.detach()
        chosen = check_rows(rows, self.num_classes).to(vectors.device)
        k = self.prototypes_per_class
        head = AudioProtoPNetHead(vectors.shape[1], len(rows), k, chunk_size=self.chunk_size)
        head = head.to(vectors)
        with torch.no_grad():
            head.prototype_vectors.copy_(
                vectors.view(-1, k, *vectors.shape[1:])[chosen].flatten(0, 1)
            )
            head.last_layer.weight.copy_(self.last_layer.weight[chosen])
            head.last_layer.bias.copy_(self.last_layer.bias[chosen])
        return head
