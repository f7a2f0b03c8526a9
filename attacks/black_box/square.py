"""Square: random search without gradients."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import L2, Ball, Linf
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse, l2_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams

# After how many of 10000 queries the share of changed values is halved.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_TILES = 5  # of the first perturbation in L2, along each dimension
_BLOCK = 64  # queries for which random numbers are drawn at once
_NUMBERS = 5  # of a query: the corners of two windows, and a direction; then one sign per channel


class Square(Attack):
    """Square attack (Andriushchenko et al., 2020, arXiv 1912.00049), in the Linf or the L2 ball.

    Every query changes one window of the last two dimensions and keeps it where the objective grows.
    Windows shrink on the published schedule, rescaled to the number of queries. A window that does not
    fit is a rectangle of the same area, so that waveforms and embeddings, with one dimension per
    clip, are searched in stretches. Nothing but predictions is used: an attack by gradients that is
    weaker than this one has been led astray.

    Args:
        ball: Linf or L2.
        queries: Number of forward passes per clip, at least 1.
        share: First share of the values that a window covers, above 0 and at most 1.
        until_success: Leave a clip alone as soon as the attack has reached its aim there;
            ``forward_queries`` of the result says when that was.

    Raises:
        ValueError: If there are no queries, or the share is no share.
        TypeError: If the ball is neither Linf nor L2.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        queries: int = 1000,
        share: float = 0.8,
        until_success: bool = False,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if queries < 1 or not 0 < share <= 1:
            raise ValueError(
                f"Square needs at least one query and a share above 0 and at most 1, not "
                f"{queries}, {share}."
            )
        if type(ball) not in (Linf, L2):
            raise TypeError(f"Square searches in the Linf or the L2 ball, not in {ball!r}.")
        self.queries = queries
        self.share = share
        self.until_success = until_success

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Try windows, and keep what makes the objective larger."""
        x, rng = query.x, rng.stream(0)
        shape = _plane(x)
        best = self._first(x.reshape(shape), rng).reshape(x.shape)
        best = query.project(best if query.start is None else query.start).clone()
        value, hit = self._ask(query, best, None)
        numbers = x.new_empty(0)
        for number in range(1, self.queries):
            place = (number - 1) % _BLOCK
            if place == 0:
                numbers = rng.uniform(x.new_empty(len(x), _BLOCK, _NUMBERS + shape[1]))
            clips = self._going(query, hit)
            if clips is not None and len(clips) == 0:
                break
            chosen = slice(None) if clips is None else clips
            window = _window(self._share_at(number), shape)
            plane = best[chosen].reshape(-1, *shape[1:])
            other = self._changed(plane, numbers[chosen, place], window)
            other = query.project(other.reshape(-1, *x.shape[1:]), clips)
            found, reached = self._ask(query, other, clips)
            if self.until_success:
                # A success is kept, whatever the objective says of it and of what follows.
                found = torch.where(reached, torch.inf, found)
            best[chosen], value[chosen] = keep_worse(best[chosen], value[chosen], other, found)
            hit[chosen] |= reached
        return best

    def _ask(self, query: Query, point: Tensor, clips: Tensor | None) -> tuple[Tensor, Tensor]:
        chosen = slice(None) if clips is None else clips
        prediction, target = query.predict(point, clips), query.target[chosen]
        value = self.objective(prediction, target)
        if not self.until_success:
            return value, torch.zeros_like(value, dtype=torch.bool)
        return value, self.objective.success(prediction, query.clean_prediction[chosen], target)

    def _going(self, query: Query, hit: Tensor) -> Tensor | None:
        if not self.until_success or not query.clips_independent:
            return None
        return (~hit).nonzero()[:, 0]

    def _share_at(self, query: int) -> float:
        scaled = 10_000 * query / self.queries
        return math.ldexp(self.share, -sum(scaled > limit for limit in _HALVINGS))

    def _first(self, plane: Tensor, rng: RandomStreams) -> Tensor:
        """Stripes in the Linf ball, a grid of bumps in the L2 ball."""
        if isinstance(self.ball, Linf):
            return self.ball.eps * _signs(rng.uniform(plane[:, :, :1])).expand_as(plane)
        height, width = plane.shape[2:]
        sides = (math.ceil(height / _TILES), math.ceil(width / _TILES))
        rows = torch.arange(height, device=plane.device)
        columns = torch.arange(width, device=plane.device)
        signs = _signs(rng.uniform(plane[:, :, :_TILES, :_TILES]))
        signs = signs[:, :, rows // sides[0]][..., columns // sides[1]]
        bumps = _bumps(sides, plane)[0][rows % sides[0]][:, columns % sides[1]]
        return self._spend(bumps * signs)

    def _changed(self, plane: Tensor, numbers: Tensor, sides: tuple[int, int]) -> Tensor:
        signs = _signs(numbers[:, _NUMBERS:])[:, :, None, None]
        rows, columns = _places(plane, numbers[:, 0], numbers[:, 1], sides)
        inside = _mask(rows, columns, sides)
        if isinstance(self.ball, Linf):
            return torch.where(inside, self.ball.eps * signs, plane)
        emptied = _mask(*_places(plane, numbers[:, 2], numbers[:, 3], sides), sides)
        upright, lying = _bumps(sides, plane)
        pattern = torch.where(per_clip(numbers[:, 4] > 0, plane[:, 0]), upright, lying)
        clip = torch.arange(len(plane), device=plane.device)[:, None, None]
        bump = pattern.expand(len(plane), *sides)[
            clip, rows.clamp(0, sides[0] - 1), columns.clamp(0, sides[1] - 1)
        ]
        new = _unit(plane * inside) + bump[:, None] * signs * inside
        free = (self.ball.eps**2 - per_clip(l2_norm(plane), plane).square()).clamp_min(0)
        moved = (plane * (inside | emptied)).square().sum((2, 3), keepdim=True)
        length = (free / plane.shape[1] + moved).sqrt()
        kept = plane.masked_fill(inside | emptied, 0.0)
        return self._spend(kept + _unit(new) * length)

    def _spend(self, plane: Tensor) -> Tensor:
        return self.ball.eps * self.ball.direction(plane, plane)


def _plane(x: Tensor) -> tuple[int, int, int, int]:
    """Shape as clips, channels, rows and columns; a clip of one dimension is one row."""
    height, width = (1, x.shape[1]) if x.ndim == 2 else (x.shape[-2], x.shape[-1])
    return len(x), x[0].numel() // (height * width), height, width


def _window(share: float, shape: tuple[int, int, int, int]) -> tuple[int, int]:
    """Height and width of a window: a square, or what fits of the same area."""
    height, width = shape[2:]
    area = share * height * width
    side = max(round(math.sqrt(area)), 1)
    if side > height:
        return height, min(max(round(area / height), 1), width)
    if side > width:
        return min(max(round(area / width), 1), height), width
    return side, side


def _signs(numbers: Tensor) -> Tensor:
    return torch.where(numbers < 0, -1.0, 1.0).to(numbers)


def _places(
    plane: Tensor, first: Tensor, second: Tensor, sides: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Row and column of every value, counted from the corner of each clip's window."""
    height, width = plane.shape[2:]
    corners = [
        ((number + 1) / 2 * (length - side + 1)).long().clamp(0, length - side)
        for number, length, side in zip((first, second), (height, width), sides, strict=True)
    ]
    rows = torch.arange(height, device=plane.device) - corners[0][:, None]
    columns = torch.arange(width, device=plane.device) - corners[1][:, None]
    return rows[:, :, None], columns[:, None, :]


def _mask(rows: Tensor, columns: Tensor, sides: tuple[int, int]) -> Tensor:
    """Which values are in each clip's window, shape (clips, 1, height, width)."""
    high, wide = (rows >= 0) & (rows < sides[0]), (columns >= 0) & (columns < sides[1])
    return (high & wide)[:, None]


def _bumps(sides: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """A bump beside its negative, one above the other and one left of the other; of unit norm."""
    height, width = sides
    upright = _two_bumps(height, width, like)
    return upright, _two_bumps(width, height, like).T


def _two_bumps(height: int, width: int, like: Tensor) -> Tensor:
    half = height // 2
    both = torch.cat([_bump(half, width, like), -_bump(height - half, width, like)])
    return both / both.square().sum().sqrt()


def _bump(height: int, width: int, like: Tensor) -> Tensor:
    """Nested squares around the middle, the k-th one with weight 1 / k^2; of unit norm."""
    if height == 0:
        return like.new_zeros(0, width)
    middle = (height // 2, width // 2)
    rows = (torch.arange(height) - middle[0]).abs()[:, None]
    columns = (torch.arange(width) - middle[1]).abs()
    weights = 1 / torch.arange(1, max(middle) + 2, dtype=torch.float64).square()
    outside = weights.flip(0).cumsum(0).flip(0)[torch.maximum(rows, columns)]
    return (outside / outside.square().sum().sqrt()).to(like)


def _unit(plane: Tensor) -> Tensor:
    """Every channel of every clip divided by its norm."""
    tiny = torch.finfo(plane.dtype).tiny
    return plane / plane.square().sum((2, 3), keepdim=True).sqrt().clamp_min(tiny)
