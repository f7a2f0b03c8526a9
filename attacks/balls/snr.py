"""The ball of a signal-to-noise ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadyear.attacks.balls.base import NormBall
from steadyear.attacks.balls.norms import L2
from steadyear.attacks.signal.sizes import l2_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams


class SNR(NormBall):
    """The perturbation's energy, relative to the clip's own, is limited; for waveforms.

    ``eps`` is the ratio of the Euclidean norms of perturbation and clip, so that 0 is no attack and
    larger budgets allow more. The signal-to-noise ratio in dB is -20 log10(eps):

    | eps | 0.001 | 0.00316 | 0.01 | 0.0316 | 0.1 | 0.316 |
    | --- | --- | --- | --- | --- | --- | --- |
    | dB | 60 | 50 | 40 | 30 | 20 | 10 |

    Nothing is allowed around a silent clip. Standardised spectrograms have no signal-to-noise ratio.

    Args:
        eps: Budget as a ratio of norms.
        db: The budget as a signal-to-noise ratio in dB, instead of ``eps``.

    Raises:
        ValueError: If the budget is negative or not a number, or both are given.
    """

    norm = "snr"
    label = "SNR"
    relative_unit = "amplitude ratio"
    requires_waveform = True

    def __init__(self, eps: float = 0.0, db: float | None = None) -> None:
        if db is not None and eps != 0:
            raise ValueError(f"Give an SNR ball eps or db, not both ({eps}, {db}).")
        super().__init__(eps if db is None else 10 ** (-db / 20))
        self._unit = L2(1.0)

    def __repr__(self) -> str:
        """Show the class and its budget, also in dB."""
        return f"SNR(eps={self.eps:g}, {self.db:.4g} dB)"

    @property
    def db(self) -> float:
        """The smallest signal-to-noise ratio that is allowed, in dB; infinite for a budget of 0."""
        return -20 * math.log10(self.eps) if self.eps > 0 else math.inf

    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform in each clip's Euclidean ball."""
        return self._unit.sample_in_ball(x, rng) * per_clip(self.eps * l2_norm(x), x)

    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform on each clip's Euclidean sphere."""
        return self._unit.sample_on_sphere(x, rng) * per_clip(self.eps * l2_norm(x), x)

    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient, scaled to the norm of the clip."""
        return self._unit.direction(gradient, x) * per_clip(l2_norm(x), x)

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Shrink what is too loud."""
        return self.project_to_radius(perturbation, perturbation.new_full((len(x),), self.eps), x)

    def project_to_radius(self, perturbation: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """Shrink what is too loud for its clip's ratio."""
        norm = l2_norm(x)
        # Nothing is allowed around silence, whatever the ratio.
        return self._unit.project_to_radius(
            perturbation, torch.where(norm > 0, radius * norm, 0.0), x
        )

    def dual_norm(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Euclidean norm, times that of the clip."""
        return l2_norm(gradient) * l2_norm(x)

    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Ratio of the norms of perturbation and clip; infinite for a sound in silence."""
        loud = l2_norm(perturbation)
        return torch.where(loud > 0, loud / l2_norm(x), 0.0)
