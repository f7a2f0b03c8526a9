"""Grid search, for domains of a few dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.problem import Problem
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Bounds
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
        objective: What is maximised; ``None`` stands for ``SquaredError()``.
        points: Points along every dimension, at least 2.
        refine: Follow the gradient from the worst point.
        steps: Number of steps of the refinement.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: Not used: there is nothing random here.

    Raises:
        ValueError: If there are fewer than two points or no step.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        points: int = 5,
        refine: bool = False,
        steps: int = 10,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(ball, objective, view, bounds, seed)
        if points < 2 or steps < 1:
            raise ValueError(
                f"GridSearch needs at least two points and one step, not {points}, {steps}."
            )
        self.points = points
        self.refine = refine
        self.steps = steps

    def solve(self, problem: Problem, rng: RandomStreams) -> Tensor:
        """Try all points, then climb from the worst.

        Raises:
            ValueError: If the domain has too many dimensions for a grid.
        """
        x = problem.x
        grid = self.grid(x[0].numel()).to(x)
        best = torch.zeros_like(x) if problem.start is None else problem.start
        value = problem.value(best)
        for point in grid:
            other = problem.project(point.reshape(x.shape[1:]).expand_as(x))
            best, value = keep_worse(best, value, other, problem.value(other))
        if not self.refine:
            return best
        problem.start = best
        # 2.5 half cells in all: enough to reach what lies nearest to this point.
        step = 2.5 / self.steps / (self.points - 1)
        climb = PGD(self.ball, self.objective, self.steps, step, view=self.view)
        return climb.solve(problem, rng)

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
