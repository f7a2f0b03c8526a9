"""Random search in the whole of a ball."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams


class RandomSearch(Attack):
    """Random points of the ball, of which each clip's worst is kept.

    Unlike ``Noise``, which spends the whole budget and serves as a control, this one searches inside
    of the ball, too: the way through boxes of more dimensions than a grid can fill. The clean clip,
    or the start that the caller gives, is tried first.

    Args:
        tries: Number of random points per clip.

    Raises:
        ValueError: If there is no try.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        tries: int = 100,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if tries < 1:
            raise ValueError(f"RandomSearch needs at least one try, not {tries}.")
        self.tries = tries

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Draw, and keep each clip's worst try."""
        best = torch.zeros_like(query.x) if query.start is None else query.start
        value = query.value(best)
        for number in range(self.tries):
            other = query.project(self.ball.sample_in_ball(query.x, rng.stream(number)))
            best, value = keep_worse(best, value, other, query.value(other))
        return best
