"""The control that every attack is measured against: the same budget without an aim."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.problem import Problem
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Bounds
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams


class Noise(Attack):
    """Random perturbations that spend the whole budget; the worst of ``tries`` is kept.

    A model whose error grows as much under noise as under an attack is not being attacked.

    Args:
        ball: Which perturbations are allowed.
        objective: What the worst try is chosen by; ``None`` stands for ``SquaredError()``.
        tries: Number of random perturbations per clip.
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
        tries: int = 1,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(ball, objective, view, bounds, seed)
        if tries < 1:
            raise ValueError(f"Noise needs at least one try, not {tries}.")
        self.tries = tries

    def solve(self, problem: Problem, rng: RandomStreams) -> Tensor:
        """Draw, and keep each clip's worst try."""
        best = problem.project(self.ball.sample_on_sphere(problem.x, rng.stream(0)))
        if self.tries == 1:
            return best
        value = problem.value(best)
        for number in range(1, self.tries):
            other = problem.project(self.ball.sample_on_sphere(problem.x, rng.stream(number)))
            best, value = keep_worse(best, value, other, problem.value(other))
        return best
