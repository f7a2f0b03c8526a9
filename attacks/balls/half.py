"""The Linf ball of a gain: a share of each clip's peak."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.balls.norms import Linf


class PositiveLinf(Linf):
    """Perturbations that only add."""

    norm = "positive_linf"
    label = "L∞, positive"

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Clamp to zero and the budget."""
        return perturbation.clamp(0, self.eps)
