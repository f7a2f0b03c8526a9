"""How much each prototype resembles the most similar place of a map of features.

The cosine similarity of AudioProtoPNet (Heinrich et al., 2025). Both vectors get two more channels
with the constant ``EPS``, and

    s(p, z) = (p.z + 2 EPS^2) / (1.01 * sqrt(|z|^2 + 2 EPS^2 + EPS) * (sqrt(|p|^2 + 2 EPS^2 + EPS) + EPS))

stays below 1. All similarities of 48 680 prototypes with 16 x 38 places would take 118 MB a clip.
Only the largest one of each prototype is needed, so they are computed for some prototypes at a
time, and what is kept for the backward pass is the place of each maximum.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EPS = 1e-4
SLACK = 1.01


def unit_patches(features: Tensor) -> tuple[Tensor, Tensor]:
    """The places of a map as scaled vectors, and what the constant channels add.

    Args:
        features: Map of features, shape (batch, channels, height, width).

    Returns:
        Vectors, shape (batch, height * width, channels), and ``2 EPS^2`` by the length of each
        vector, shape (batch, height * width).
    """
    patches = features.flatten(2).transpose(1, 2).contiguous()
    length = torch.sqrt(patches.square().sum(-1) + (2 * EPS**2 + EPS))
    return patches / length.unsqueeze(-1), 2 * EPS**2 / length


def _scale(prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Root of the squared length of each prototype, and the factor of its similarities."""
    root = torch.sqrt(prototypes.square().sum(-1) + (2 * EPS**2 + EPS))
    return root, 1 / (SLACK * (root + EPS))


def similarity_maps(patches: Tensor, offset: Tensor, prototypes: Tensor) -> Tensor:
    """Similarity of every place with every prototype, without a gradient.

    Args:
        patches: What :func:`unit_patches` gave.
        offset: What :func:`unit_patches` gave.
        prototypes: Prototypes, shape (prototypes, channels).

    Returns:
        Similarities, shape (batch, places, prototypes); they are below 0 where the angle is wide.
    """
    with torch.no_grad():
        products = patches @ prototypes.T
        return products.add_(offset.unsqueeze(-1)).mul_(_scale(prototypes)[1])


def best_places(
    patches: Tensor, offset: Tensor, prototypes: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """Largest similarity of every prototype and its place, both of shape (batch, prototypes).

    Args:
        patches: What :func:`unit_patches` gave.
        offset: What :func:`unit_patches` gave.
        prototypes: Prototypes, shape (prototypes, channels).
        chunk_size: Number of prototypes that are compared at a time.
    """
    chunks = torch.split(prototypes, chunk_size)
    found = [similarity_maps(patches, offset, rows).max(1) for rows in chunks]
    return torch.cat([part[0] for part in found], 1), torch.cat([part[1] for part in found], 1)


class MaxSimilarity(torch.autograd.Function):
    """Largest similarity of every prototype: ``apply(patches, offset, prototypes, chunk_size)``.

    Takes what :func:`best_places` takes, gives its first result, and has its exact gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, offset: Tensor, prototypes: Tensor, chunk_size: int
    ) -> Tensor:
        """Compare chunk by chunk; keep inputs, maxima and places."""
        similarity, places = best_places(patches, offset, prototypes, chunk_size)
        ctx.save_for_backward(patches, prototypes, similarity, places)
        ctx.chunk_size = chunk_size
        return similarity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of patches, offset and prototypes, chunk by chunk."""
        patches, prototypes, similarity, places = ctx.saved_tensors
        batch, size, channels = patches.shape
        flat = patches.reshape(-1, channels)
        rows_of = places + size * torch.arange(batch, device=places.device).unsqueeze(1)
        grad_flat = torch.zeros_like(flat)
        grad_offset = flat.new_zeros(batch * size)
        grad_prototypes = torch.empty_like(prototypes) if ctx.needs_input_grad[2] else None
        for start in range(0, len(prototypes), ctx.chunk_size):
            part = slice(start, start + ctx.chunk_size)
            root, scale = _scale(prototypes[part])
            scaled, rows = grad[:, part] * scale, rows_of[:, part]
            grad_offset.scatter_add_(0, rows.flatten(), scaled.flatten())
            if ctx.needs_input_grad[0]:
                pulls = scaled.unsqueeze(-1) * prototypes[part]
                grad_flat.index_add_(0, rows.flatten(), pulls.flatten(0, 1))
            if grad_prototypes is not None:
                # The second term is the derivative of the factor that the length enters.
                shrink = (grad[:, part] * similarity[:, part]).sum(0) * scale * SLACK / root
                pulls = torch.einsum("bp,bpc->pc", scaled, flat[rows])
                grad_prototypes[part] = pulls - shrink.unsqueeze(-1) * prototypes[part]
        return grad_flat.view_as(patches), grad_offset.view(batch, size), grad_prototypes, None
