"""Grid search, for domains of a few dimensions."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.gradient.pgd import PGD
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams

_DIMENSIONS = 4
_POINTS = 10_000


class GridSearch(Attack):
    """Tries every point of a grid over the budget, and keeps each clip's worst.

    The clean clip, or the start that the caller gives, is tried first. Nothing but predictions is
    used, unless the search is refined: then PGD begins at each clip's worst point, with steps that
    can cross to the neighbouring points.

    Args:
        ball: Which perturbations are allowed; the grid reaches from -budget to budget along every
            dimension, and is projected.
        points: Points along every dimension, at least 2.
        refine: Follow the gradient from the worst point.
        steps: Number of steps of the refinement.

    Raises:
        ValueError: If there are fewer than two points or no step.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        points: int = 5,
        refine: bool = False,
        steps: int = 10,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if points < 2 or steps < 1:
            raise ValueError(
                f"GridSearch needs at least two points and one step, not {points}, {steps}."
            )
        self.points = points
        self.refine = refine
        self.steps = steps

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Try all points, then ascend from the worst.

        Raises:
            ValueError: If the domain has too many dimensions for a grid.
        """
        x = query.x
        grid = self.grid(x[0].numel()).to(x)
        best = torch.zeros_like(x) if query.start is None else query.start
        value = query.value(best)
        for point in grid:
            other = query.project(point.reshape(x.shape[1:]).expand_as(x))
            best, value = keep_worse(best, value, other, query.value(other))
        if not self.refine:
            return best
        query.start = best
        # 2.5 half cells in all: enough to reach what lies nearest to this point.
        step = 2.5 / self.steps / (self.points - 1)
        ascent = PGD(
            self.ball, self.objective, steps=self.steps, relative_step=step, view=self.view
        )
        return ascent.solve(query, rng)

    def grid(self, dimensions: int) -> Tensor:
        """All points, shape (points, dimensions), in double precision.

        Args:
            dimensions: Number of values that are perturbed in a clip.

        Raises:
            ValueError: If there are too many dimensions or points.
        """
        # Not written out: with many dimensions the power is a number of thousands of digits.
        if dimensions > _DIMENSIONS or self.points**dimensions > _POINTS:
            raise ValueError(
                f"A grid of {self.points} points along each of {dimensions} dimensions is too "
                f"large: GridSearch takes up to {_DIMENSIONS} dimensions and {_POINTS} points, such "
                "as a SemanticBox of one or two transformations. Use RandomSearch, Square or PGD."
            )
        axis = torch.linspace(-self.ball.eps, self.ball.eps, self.points, dtype=torch.float64)
        return torch.cartesian_prod(*[axis] * dimensions).reshape(-1, dimensions)
