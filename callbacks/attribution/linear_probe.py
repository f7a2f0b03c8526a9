"""A linear probe that says which concept each feature of an embedding stands for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = torch.logspace(-4, 3, 15, dtype=torch.float64)
"""Ridge penalties per clip, on standardised features."""

FLAT = 1e-6
"""Range of a feature, relative to its largest value, below which it counts as constant."""


@dataclass(frozen=True)
class LinearProbe:
    """A ridge regression from features to concepts, both standardised.

    Attributes:
        weights: Weight of every feature on every concept, shape (features, concepts).
        r2: Share of each concept's variance that the probe explains in clips that it has not seen
            (leave-one-out), shape (concepts,).
        penalty: The ridge penalty, the one with the smallest leave-one-out error.
    """

    weights: Tensor
    r2: Tensor
    penalty: float

    def groups(self) -> Tensor:
        """Give every feature to one concept, so that sums over groups are sums over features.

        A feature belongs to the concept for which the size of its weight times the concept's ``r2``
        is largest: weights of concepts that the probe hardly explains are mostly noise. Features
        that do not vary, and all features if no concept is explained, are the remainder.

        Returns:
            Number of the concept of each feature, or the number of concepts for the remainder,
            shape (features,).
        """
        size = self.weights.abs() * self.r2.clamp_min(0)
        owner = size.argmax(1)
        owner[size.amax(1) == 0] = size.shape[1]
        return owner


def fit_probe(features: Tensor, concepts: Tensor) -> LinearProbe:
    """Fit the probe in closed form, with the penalty of the smallest leave-one-out error (PRESS).

    Allen, "The relationship between variable selection and data augmentation and a method for
    prediction" (Technometrics, 1974): left out, a clip's error is its residual divided by one minus
    its leverage. Features are scaled by all clips.

    Args:
        features: Features of the clips, shape (clips, features).
        concepts: Their concepts, shape (clips, concepts).

    Raises:
        ValueError: If there are fewer than two clips, or a value is not finite.
    """
    clips = len(features)
    if clips < 2 or not (torch.isfinite(features).all() and torch.isfinite(concepts).all()):
        raise ValueError("A probe needs at least two clips, and finite features and concepts.")
    z, c = _standardised(features), _standardised(concepts)
    u, s, vh = torch.linalg.svd(z, full_matrices=False)
    aligned = u.T @ c

    def left_out_errors(penalty: Tensor) -> Tensor:
        shrink = s.square() / (s.square() + penalty)
        # Centring costs one clip's share of leverage.
        leverage = 1 / clips + u.square() @ shrink
        # A leverage of one means that the clip alone decides its own fit.
        scale = (1 - leverage).clamp_min(1e-9).unsqueeze(1)
        residual: Tensor = (c - u @ (shrink.unsqueeze(1) * aligned)) / scale
        return residual.square().mean(0)

    errors = torch.stack([left_out_errors(penalty * clips) for penalty in PENALTIES])
    best = int(errors.mean(1).argmin())
    penalty = float(PENALTIES[best] * clips)
    weights = vh.T @ ((s / (s.square() + penalty)).unsqueeze(1) * aligned)
    # What does not vary has no weight and is not explained, whatever rounding leaves.
    weights *= z.any(0).unsqueeze(1)
    return LinearProbe(weights, (1 - errors[best]) * c.any(0), penalty)


def _standardised(values: Tensor) -> Tensor:
    values = values.double()
    varies = (values.amax(0) - values.amin(0)) > FLAT * values.abs().amax(0)
    centred = values - values.mean(0)
    return torch.where(varies, centred / centred.square().mean(0).sqrt().clamp_min(1e-300), 0)
