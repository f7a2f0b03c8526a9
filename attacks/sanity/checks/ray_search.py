"""A search by decisions alone, for the checks: it sees through masked gradients and flat losses."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams

_FLIPS = 128  # each costs a forward pass, and ten more where it helped
_HALVINGS = 10
_FARTHEST = 64.0  # budgets


class RaySearch(Attack):
    """Decision-based search along rays of signs; sees only whether the aim was reached.

    Blocks of a vector of signs are flipped in ever finer halves; a flip stays where the aim is still
    reached at the shortest length so far, which is then shortened by bisection (RayS: Chen and Gu,
    2020, arXiv 2006.12792). A clip whose shortest length is beyond the budget is returned clean.

    Args:
        objective: Says whether the aim is reached; ``None`` stands for ``SquaredError()``.
    """

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Flip, and shorten what still reaches the aim."""
        signs = torch.ones_like(query.x)
        length = self._first(query, signs)
        parts, part, values = 1, 0, signs[0].numel()
        for _ in range(_FLIPS):
            other = signs.clone().flatten(1)
            other[:, part * values // parts : (part + 1) * values // parts] *= -1
            other = other.view_as(signs)
            # Where nothing was found yet the farthest point is tried.
            tried = length.clamp_max(_FARTHEST * self.ball.eps)
            hit = query.success(self._along(query, other, tried))
            signs = torch.where(per_clip(hit, signs), other, signs)
            length = self._shorter(query, signs, torch.where(hit, tried, length), hit)
            part += 1
            if part == parts:
                parts, part = min(2 * parts, values), 0
        return self._along(query, signs, torch.where(length <= self.ball.eps, length, 0.0))

    def _first(self, query: Query, signs: Tensor) -> Tensor:
        """Shortest power of two along the first ray that reaches the aim; infinite without."""
        length = query.x.new_full((len(signs),), torch.inf)
        reach = _FARTHEST
        while reach >= 1:
            tried = torch.full_like(length, reach * self.ball.eps)
            hit = query.success(self._along(query, signs, tried))
            length, reach = torch.where(hit, tried, length), reach / 2
        return length

    def _shorter(self, query: Query, signs: Tensor, length: Tensor, hit: Tensor) -> Tensor:
        if not bool(hit.any()):
            return length
        low, high = torch.zeros_like(length), length
        for _ in range(_HALVINGS):
            middle = torch.where(hit, (low + high) / 2, 0.0)
            inside = query.success(self._along(query, signs, middle))
            low, high = torch.where(inside, low, middle), torch.where(inside & hit, middle, high)
        return torch.where(hit, high, length)

    def _along(self, query: Query, signs: Tensor, length: Tensor) -> Tensor:
        # Beyond the ball on purpose: the boundary may be far away before the search comes closer.
        moved = self.ball.direction(signs, query.x) * per_clip(length, signs)
        bounds = self.bounds
        return moved if bounds is None else (query.x + moved).clamp(*bounds) - query.x
