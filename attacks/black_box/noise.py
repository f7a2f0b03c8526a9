"""The control that every attack is measured against: the same budget without an aim."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams


class Noise(Attack):
    """Random perturbations that spend the whole budget; the worst of ``tries`` is kept.

    A model whose error grows as much under noise as under an attack is not being attacked.

    Args:
        objective: What the worst try is chosen by; ``None`` stands for ``SquaredError()``.
        tries: Number of random perturbations per clip.

    Raises:
        ValueError: If there is no try.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        tries: int = 1,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if tries < 1:
            raise ValueError(f"Noise needs at least one try, not {tries}.")
        self.tries = tries

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Draw, and keep each clip's worst try."""
        best = query.project(self.ball.sample_on_sphere(query.x, rng.stream(0)))
        if self.tries == 1:
            return best
        value = query.value(best)
        for number in range(1, self.tries):
            other = query.project(self.ball.sample_on_sphere(query.x, rng.stream(number)))
            best, value = keep_worse(best, value, other, query.value(other))
        return best
