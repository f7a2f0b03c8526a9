"""What attacks share that search for the smallest successful perturbation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Unpack, final

import torch
from torch import Tensor

from steadyear.attacks.balls import NormBall
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective, refuse_coupled
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams

# In multiples of the clip's own size: a first step without a gradient, and where a search gives up.
NEAREST, FARTHEST = 1e-3, 100.0


class MinimalNorm(Attack):
    """Base of the attacks that minimise the norm instead of spending a budget.

    ``ball`` names the norm. With ``eps`` infinite nothing limits the search but 100 times the clip's
    own size; a finite ``eps`` is a cap, and what needs more is no success. A clip without success
    is returned clean: size 0 and ``success`` false. A clip that is beyond its aim before the attack has
    size 0 and ``success`` true.

    Figures of the damage mean little here, for it is just beyond the aim by construction: the size
    of the perturbations is the result.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps.
        shrink_steps: Number of bisections of a line, one forward pass each, without gradient.

    Raises:
        ValueError: If there is no step, a negative number of bisections, or the objective has one
            value for a whole batch.
        TypeError: If the ball has no norm.
    """

    def __init__(
        self,
        ball: NormBall,
        objective: Objective | None = None,
        *,
        steps: int = 100,
        shrink_steps: int = 10,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if steps < 1 or shrink_steps < 0:
            raise ValueError(
                f"{type(self).__name__} needs at least one step and no negative number of "
                f"bisections, not {steps}, {shrink_steps}."
            )
        if not isinstance(ball, NormBall):
            raise TypeError(
                f"{type(self).__name__} minimises a norm, which {ball!r} does not have: give the "
                "ball of a norm, with an infinite eps for no cap."
            )
        refuse_coupled(self.objective, self)
        self.steps = steps
        self.shrink_steps = shrink_steps

    @property
    def ball(self) -> NormBall:
        """The norm, and the largest perturbation to look for."""
        ball = self.threat.ball
        assert isinstance(ball, NormBall)
        return ball

    @final
    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Search for all clips but those that are beyond their aim already: these need nothing."""
        if not query.clips_independent:
            return self.minimise(query, rng)
        clean = query.clean_prediction
        clips = (~self.objective.success(clean, clean, query.target)).nonzero()[:, 0]
        found = torch.zeros_like(query.x)
        if len(clips):
            found[clips] = self.minimise(query.select(clips), rng.of(clips))
        return found

    @abstractmethod
    def minimise(self, query: Query, rng: RandomStreams) -> Tensor:
        """Find a small perturbation with success of each clip, or zero, shape (batch, ...)."""

    def shrink(self, query: Query, found: Tensor) -> Tensor:
        """Draw what was found towards the clean clip, as far as the attack still succeeds.

        Args:
            query: What may be asked.
            found: A perturbation with success, or zero, of each clip, shape (batch, ...).
        """
        low = found.new_zeros(len(found))
        high = torch.ones_like(low)
        for _ in range(self.shrink_steps):
            middle = (low + high) / 2
            hit = query.success(query.project(found * per_clip(middle, found)))
            low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
        return found * per_clip(high, found)

    def own_size(self, x: Tensor) -> Tensor:
        """Size of each clip itself, shape (batch,), the natural unit of a search; 1 for silence."""
        own = self.ball.size(x, x)
        return torch.where(own > 0, own, 1.0)

    def farthest(self, x: Tensor) -> Tensor:
        """Where a search gives up, shape (batch,)."""
        return (FARTHEST * self.own_size(x)).clamp_max(self.ball.eps)

    def kick(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """A tiny random step for clips without a gradient, shape (batch, ...)."""
        direction = self.ball.direction(rng.normal(x), x)
        return direction * per_clip(NEAREST * self.own_size(x), x)
