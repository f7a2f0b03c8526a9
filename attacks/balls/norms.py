"""The balls of the Linf and the L2 norm."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.balls.base import NormBall
from steadyear.attacks.signal.sizes import l2_norm, linf_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams


class Linf(NormBall):
    """Every value may change by at most ``eps``."""

    norm = "linf"
    label = "L∞"

    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Each value uniform in [-eps, eps]."""
        return rng.uniform(x).mul_(self.eps)

    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Each value -eps or eps: the energy that a sign attack spends, without its aim."""
        return rng.uniform(x).sign_().mul_(self.eps)

    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Sign of the gradient."""
        return gradient.sign()

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Clamp every value."""
        return perturbation.clamp(-self.eps, self.eps)

    def project_to_radius(self, perturbation: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """Clamp every value to its clip's radius."""
        limit = per_clip(radius, perturbation)
        return perturbation.clamp(-limit, limit)

    def dual_norm(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Sum of the absolute values."""
        return gradient.flatten(1).abs().sum(1)

    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Largest absolute value."""
        return linf_norm(perturbation)


class L2(NormBall):
    """The Euclidean norm of a clip's perturbation is at most ``eps``."""

    norm = "l2"
    label = "L2"

    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform in the Euclidean ball."""
        radius = rng.uniform_per_clip(x) ** (1 / x[0].numel())
        return self.sample_on_sphere(x, rng) * radius

    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform on the Euclidean sphere."""
        return self.direction(rng.normal(x), x).mul_(self.eps)

    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Gradient divided by its norm."""
        tiny = torch.finfo(gradient.dtype).tiny
        # Scaled first: squares of tiny fp32 gradients underflow to a norm of zero.
        scaled = gradient / per_clip(linf_norm(gradient).clamp_min(tiny), gradient)
        return scaled / per_clip(l2_norm(scaled).clamp_min(tiny), scaled)

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Shrink what is too long."""
        return self._shorten(perturbation, self.eps)

    def project_to_radius(self, perturbation: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """Shrink what is longer than its clip's radius."""
        return self._shorten(perturbation, radius)

    def _shorten(self, perturbation: Tensor, longest: float | Tensor) -> Tensor:
        norm = l2_norm(perturbation)
        factor = (longest / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_max(1.0)
        return perturbation * per_clip(factor, perturbation)

    def dual_norm(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Euclidean norm."""
        return l2_norm(gradient)

    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Euclidean norm."""
        return l2_norm(perturbation)
