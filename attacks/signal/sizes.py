"""How large a perturbation is, clip by clip."""

from __future__ import annotations

import torch
from torch import Tensor


def linf_norm(perturbation: Tensor) -> Tensor:
    """Largest absolute value of each clip's perturbation, shape (batch,)."""
    return perturbation.flatten(1).abs().amax(1)


def l2_norm(perturbation: Tensor) -> Tensor:
    """Euclidean norm of each clip's perturbation, shape (batch,)."""
    return perturbation.flatten(1).square().sum(1).sqrt()


def snr_db(clean: Tensor, perturbation: Tensor) -> Tensor:
    """Signal-to-noise ratio of each clip in dB, shape (batch,); infinite without perturbation.

    Only meaningful where signals live: on waveforms. Standardised spectrograms have no SNR.
    """
    return 20 * torch.log10(l2_norm(clean) / l2_norm(perturbation))


def per_clip(values: Tensor, like: Tensor) -> Tensor:
    """Reshape one value per clip, (batch,), so that it broadcasts over ``like``."""
    return values.reshape(-1, *(1 for _ in like.shape[1:]))


def keep_worse(
    best: Tensor, value: Tensor, other: Tensor, other_value: Tensor
) -> tuple[Tensor, Tensor]:
    """Of two perturbations of each clip the one with the larger objective, and that objective."""
    wins = other_value > value
    return torch.where(per_clip(wins, best), other, best), torch.where(wins, other_value, value)
