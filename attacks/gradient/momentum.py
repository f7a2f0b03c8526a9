"""Attacks that gather their gradients: MI-FGSM and NI-FGSM, made for transfer between models."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball, Linf
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse, per_clip
from steadyear.foundation.random_streams import RandomStreams


class MIFGSM(Attack):
    """Momentum iterative method from the clean clip (Dong et al., 2018, arXiv 1710.06081).

    Every gradient is divided by the mean of its absolute values and added to what was gathered;
    the step goes in the ball's steepest direction for the sum.

    Args:
        steps: Number of steps, at least 1.
        relative_step: Step size as a share of the budget; ``None`` stands for 1 / steps.
        decay: Share of the gathered gradients that stays in every step, at least 0.
        keep_best: Return the worst point on the path rather than the last one.

    Raises:
        ValueError: If there are no steps, or the decay is negative.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        steps: int = 10,
        relative_step: float | None = None,
        decay: float = 1.0,
        keep_best: bool = True,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if steps < 1 or not decay >= 0:
            raise ValueError(
                f"{type(self).__name__} needs at least one step and no negative decay, not "
                f"{steps}, {decay}."
            )
        self.steps = steps
        self.relative_step = 1 / steps if relative_step is None else relative_step
        self.decay = decay
        self.keep_best = keep_best

    def starts_at_clean(self) -> bool:
        """Always."""
        return True

    @property
    def step(self) -> float:
        """Size of a step, in the unit of the budget."""
        return self.relative_step * self.ball.eps

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Ascend along the accumulated gradients."""
        x = query.x
        point = best = gathered = torch.zeros_like(x)
        value = x.new_full((len(x),), -torch.inf)
        for _ in range(self.steps):
            gradient, here = self.look(query, point, gathered)
            if self.keep_best:
                best, value = keep_worse(best, value, point, here)
            tiny = torch.finfo(gradient.dtype).tiny
            mean = gradient.flatten(1).abs().mean(1).clamp_min(tiny)
            gathered = self.decay * gathered + gradient / per_clip(mean, gradient)
            point = query.project(point + self.step * self.ball.direction(gathered, query.x))
        if not self.keep_best:
            return point
        return keep_worse(best, value, point, query.value(point))[0]

    def look(self, query: Query, point: Tensor, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of a step and the objective at its point.

        Args:
            query: What is attacked.
            point: Where the path stands, shape (batch, ...).
            gathered: Sum of the gradients so far, same shape.
        """
        here = query.gradient(point)
        return here.gradient, here.value


class NIFGSM(MIFGSM):
    """Nesterov iterative method from the clean clip (Lin et al., 2020, arXiv 1908.06281).

    As ``MIFGSM``, with gradients taken a step ahead, where the gathered ones lead. That point may be
    outside of the ball, so keeping the best point costs one forward pass in every step.

    Args:
        steps: Number of steps, at least 1.
        relative_step: Step size as a share of the budget; ``None`` stands for 1 / steps.
        decay: Share of the gathered gradients that stays in every step, at least 0.
        keep_best: Return the worst point on the path rather than the last one.
    """

    def look(self, query: Query, point: Tensor, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient a step ahead; the objective only where it is needed."""
        # Published for Linf, where the mean size of the sum is that of steps. It is not in other norms.
        ahead = gathered if isinstance(self.ball, Linf) else self.ball.direction(gathered, query.x)
        gradient = query.gradient(point + self.decay * self.step * ahead).gradient
        if not self.keep_best:
            return gradient, gradient.new_zeros(len(gradient))
        return gradient, query.value(point)
