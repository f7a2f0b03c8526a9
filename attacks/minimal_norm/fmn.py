"""The fast minimum-norm attack."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.minimal_norm.radius_search import FIRST_GAMMA, RadiusSearch

_LAST_GAMMA = 0.001


class FMN(RadiusSearch):
    """Fast minimum-norm attack (Pintor et al., 2021, arXiv 2102.12827, algorithm 1).

    The radius shrinks and grows by a share that falls from 5 % to 0.1 %, and is never larger than
    the best norm. Steps are shares of the radius in the ball's steepest direction, from all of it
    to one hundredth, so that results scale with the unit of the input; in the paper they
    are lengths of the raw gradient.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps, one gradient query each, shared by the objective's paths.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.
    """

    def gamma(self, annealing: float) -> float:
        """Falls with the cosine."""
        return _LAST_GAMMA + (FIRST_GAMMA - _LAST_GAMMA) * annealing

    def shrunk(self, radius: Tensor, best: Tensor, gamma: float) -> Tensor:
        """Smaller than before, and at most the best norm."""
        return torch.minimum(radius * (1 - gamma), best)

    def confined(self, point: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """The nearest perturbation within the radius."""
        return self.ball.project_to_radius(point, radius, x)
