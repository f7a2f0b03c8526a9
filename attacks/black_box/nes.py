"""NES: gradients estimated from predictions alone, followed like those of PGD."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse, l2_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams


class _Worst(NamedTuple):
    """The worst point that was evaluated, and its objective."""

    point: Tensor
    value: Tensor


class NES(Attack):
    """Natural evolution strategies (Ilyas et al., 2018, arXiv 1804.08598, algorithm 1).

    The gradient is the mean of Gaussian directions, weighted by what the objective gains along each of
    them minus what it gains the opposite way (antithetic sampling). Steps are those of PGD, from a
    random start. Every evaluated point is projected, so the worst of them all is kept.

    Args:
        steps: Number of steps, at least 1.
        samples: Forward passes for each estimate, an even number: two per direction.
        relative_step: Step size as a share of the budget; ``None`` stands for 2.5 / steps.
        relative_sigma: Length of the directions as a share of that of a perturbation that spends the
            whole budget, above 0.

    Raises:
        ValueError: If there is no step, an odd number of samples or none, or no length.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        steps: int = 20,
        samples: int = 50,
        relative_step: float | None = None,
        relative_sigma: float = 0.3,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if steps < 1 or samples < 1 or samples % 2 or not relative_sigma > 0:
            raise ValueError(
                "NES needs at least one step, an even number of samples, and a sigma above 0, not "
                f"{steps}, {samples}, {relative_sigma}."
            )
        self.steps = steps
        self.samples = samples
        self.relative_step = 2.5 / steps if relative_step is None else relative_step
        self.relative_sigma = relative_sigma

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Estimate, step, and keep the worst of the evaluated points."""
        x, rng = query.x, rng.stream(0)
        start = self.ball.sample_in_ball(x, rng) if query.start is None else query.start
        point = query.project(start)
        worst = _Worst(point, query.value(point))
        sigma = self.relative_sigma * l2_norm(self.ball.sample_on_sphere(x, rng))
        step = self.relative_step * self.ball.eps
        for _ in range(self.steps):
            gradient, worst = self._estimate(query, point, sigma, rng, worst)
            point = query.project(point + step * self.ball.direction(gradient, x))
        return keep_worse(*worst, point, query.value(point))[0]

    def _estimate(
        self, query: Query, point: Tensor, sigma: Tensor, rng: RandomStreams, worst: _Worst
    ) -> tuple[Tensor, _Worst]:
        gradient = torch.zeros_like(point)
        for _ in range(self.samples // 2):
            direction = rng.normal(point)
            # All of one length, as almost all Gaussian directions in many dimensions are.
            way = direction * per_clip(sigma / l2_norm(direction), point)
            gains = []
            for sign in (1, -1):
                tried = query.project(point + sign * way)
                gains.append(query.value(tried))
                worst = _Worst(*keep_worse(*worst, tried, gains[-1]))
            gradient = gradient + direction * per_clip(gains[0] - gains[1], point)
        return gradient, worst
