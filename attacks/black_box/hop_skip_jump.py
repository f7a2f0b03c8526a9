"""HopSkipJump: a minimal-norm attack that sees decisions only."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import NormBall
from steadyear.attacks.core.attack import AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import l2_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams

_TRIES = 5  # random directions of each size, before the size is doubled
_SMALLEST = 2.0**-10  # first size of the noise, in multiples of the clip's own
_JUMPS = 10  # halvings of a step before it is given up


class HopSkipJump(MinimalNorm):
    """Decision-based attack (Chen et al., 2020, arXiv 1904.02144, algorithm 2); Linf and L2.

    It only asks whether the objective's aim is reached: another label, or an error beyond the
    tolerance. Random noise of growing size gives the first success, and bisection a point
    on the boundary. From there each step estimates the way across the boundary from random probes,
    goes it as far as the attack still succeeds, and bisects back. The number of probes grows with the
    root of the step, as published. The length of the probes is a share of the distance over the root
    of the number of values, where the paper divides by the number itself: in single precision such
    probes of long clips would be rounding. For the rest see ``MinimalNorm``.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps.
        probes: Number of probes in the first step, one forward pass each.
        relative_probe: Length of the probes as a share of the distance over the root of the number
            of values, above 0.
        shrink_steps: Number of bisections of a line, one forward pass each; at least 1.

    Raises:
        ValueError: If there is no step, no probe, no bisection or no length.
        TypeError: If the ball has no norm.
    """

    def __init__(
        self,
        ball: NormBall,
        objective: Objective | None = None,
        *,
        steps: int = 20,
        probes: int = 100,
        relative_probe: float = 0.5,
        shrink_steps: int = 12,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, steps=steps, shrink_steps=shrink_steps, **settings)
        if probes < 1 or shrink_steps < 1 or not relative_probe > 0:
            raise ValueError(
                "HopSkipJump needs at least one probe and one bisection, and a length above 0, not "
                f"{probes}, {shrink_steps}, {relative_probe}."
            )
        self.probes = probes
        self.relative_probe = relative_probe

    def minimise(self, query: Query, rng: RandomStreams) -> Tensor:
        """Walk along the boundary, and keep the smallest success."""
        x = query.x
        # Streams of their own: how many numbers the first search needs depends on the batch.
        point = self._back(query, self._first(query, rng.stream(0)))
        rng = rng.stream(1)
        best, smallest = point, self.ball.size(point, x)
        for step in range(1, self.steps + 1):
            way = self._across(query, point, round(self.probes * math.sqrt(step)), rng)
            point = self._back(query, self._jump(query, point, way, step))
            size = self.ball.size(point, x)
            closer = size < smallest
            best = torch.where(per_clip(closer, x), point, best)
            smallest = torch.where(closer, size, smallest)
        return best

    def _first(self, query: Query, rng: RandomStreams) -> Tensor:
        """The smallest noise with success, clip by clip; zero where there is none, or no need."""
        x, found = query.x, torch.zeros_like(query.x)
        hit = query.success(found)
        own, farthest = self.own_size(x), self.farthest(x)
        size = torch.minimum(_SMALLEST * own, farthest)
        while not bool(hit.all()):
            for _ in range(_TRIES):
                noise = self.ball.direction(rng.uniform(x), x)
                noise = query.project(self._of_size(noise, size, x))
                new = ~hit & query.success(noise)
                found, hit = torch.where(per_clip(new, x), noise, found), hit | new
            if bool((size >= farthest).all()):
                break
            size = torch.minimum(2 * size, farthest)
        return found

    def _of_size(self, direction: Tensor, size: Tensor, x: Tensor) -> Tensor:
        return direction * per_clip(size / self.ball.size(direction, x), x)

    def _back(self, query: Query, point: Tensor) -> Tensor:
        """Bisect the size until each clip is just beyond the boundary."""
        x = query.x
        high = self.ball.size(point, x)
        low = torch.zeros_like(high)
        for _ in range(self.shrink_steps):
            middle = (low + high) / 2
            hit = query.success(query.project(self.ball.project_to_radius(point, middle, x)))
            low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
        return query.project(self.ball.project_to_radius(point, high, x))

    def _across(self, query: Query, point: Tensor, probes: int, rng: RandomStreams) -> Tensor:
        """Steepest way across the boundary, from the decisions on random probes."""
        x, values = query.x, point[0].numel()
        length = self.relative_probe * l2_norm(point) / math.sqrt(values)
        yes, all_, count = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(length)
        for _ in range(probes):
            noise = rng.normal(x)
            probe = query.project(point + noise * per_clip(length / l2_norm(noise), x))
            moved, hit = probe - point, query.success(probe)
            yes, all_, count = yes + moved * per_clip(hit, x), all_ + moved, count + hit
        # Decisions of plus and minus one, less their mean; where all are the same, the mean stays.
        share = count / probes
        mixed = per_clip((share > 0) & (share < 1), x)
        balanced = yes - all_ * per_clip(share, x)
        sided = all_ * per_clip(2 * share - 1, x)
        return self.ball.direction(torch.where(mixed, balanced, sided), x)

    def _jump(self, query: Query, point: Tensor, way: Tensor, step: int) -> Tensor:
        """Go as far as the attack still succeeds, at first the distance over the root of the step."""
        x = query.x
        size = self.ball.size(way, x)
        unit = torch.where(size > 0, 1 / size, 0.0) / math.sqrt(step)
        length = self.ball.size(point, x) * unit
        landed, hit = point, torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for _ in range(_JUMPS):
            tried = query.project(point + way * per_clip(length, x))
            new = ~hit & query.success(tried)
            landed, hit = torch.where(per_clip(new, x), tried, landed), hit | new
            if bool(hit.all()):
                break
            length = length / 2
        return landed
