"""Random search in the whole of a ball."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.problem import Problem
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Bounds
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams


class RandomSearch(Attack):
    """Random points of the ball, of which each clip's worst is kept.

    Unlike ``Noise``, which spends the whole budget and serves as a control, this one searches inside
    of the ball, too: the way through boxes of more dimensions than a grid can fill. The clean clip,
    or the start that the caller gives, is tried first.

    Args:
        ball: Which perturbations are allowed.
        objective: What is maximised; ``None`` stands for ``SquaredError()``.
        tries: Number of random points per clip.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number.

    Raises:
        ValueError: If there is no try.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        tries: int = 100,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(ball, objective, view, bounds, seed)
        if tries < 1:
            raise ValueError(f"RandomSearch needs at least one try, not {tries}.")
        self.tries = tries

    def solve(self, problem: Problem, rng: RandomStreams) -> Tensor:
        """Draw, and keep each clip's worst try."""
        best = torch.zeros_like(problem.x) if problem.start is None else problem.start
        value = problem.value(best)
        for number in range(self.tries):
            other = problem.project(self.ball.sample_in_ball(problem.x, rng.stream(number)))
            best, value = keep_worse(best, value, other, problem.value(other))
        return best
