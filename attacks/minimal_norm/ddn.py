"""Decoupled direction and norm."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import L2
from steadyear.attacks.core.attack import AttackSettings
from steadyear.attacks.minimal_norm.radius_search import FIRST_GAMMA, RadiusSearch
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import per_clip


class DDN(RadiusSearch):
    """Decoupled direction and norm (Rony et al., 2019, arXiv 1811.09600, algorithm 1); L2 only.

    The radius shrinks and grows by 5 %, and every perturbation is scaled to it. The first radius
    comes from the margin and its gradient, where the paper starts at 1.

    Args:
        ball: The L2 ball, with the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps, one gradient query each, shared by the objective's paths.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.

    Raises:
        TypeError: If the ball is not an L2 ball.
    """

    def __init__(
        self,
        ball: L2,
        objective: Objective | None = None,
        *,
        steps: int = 100,
        shrink_steps: int = 10,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, steps=steps, shrink_steps=shrink_steps, **settings)
        if not isinstance(ball, L2):
            raise TypeError(f"DDN minimises the L2 norm; give L2 instead of {ball!r}, or use FMN.")

    def gamma(self, annealing: float) -> float:
        """Always the same."""
        return FIRST_GAMMA

    def shrunk(self, radius: Tensor, best: Tensor, gamma: float) -> Tensor:
        """Smaller than before."""
        return radius * (1 - gamma)

    def confined(self, point: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """The perturbation scaled to the radius."""
        tiny = torch.finfo(point.dtype).tiny
        return point * per_clip(radius / self.ball.size(point, x).clamp_min(tiny), point)
