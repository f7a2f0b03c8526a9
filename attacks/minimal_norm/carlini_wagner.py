"""Carlini and Wagner's attack: the smallest L2 norm by a penalty."""

from __future__ import annotations

import math
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import L2
from steadyear.attacks.core.attack import AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse, l2_norm, linf_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams

_FIRST_RATE, _LAST_RATE = 0.1, 0.005  # shares of the largest value of the predicted perturbation
_GROWTH = 10.0  # of a constant that was too small, as published
_BETA1, _BETA2 = 0.9, 0.999
_SMALL = 1e-12


class _Outlook(NamedTuple):
    """What the first gradient predicts: start, value-wise scale and constant of each clip."""

    start: Tensor
    scale: Tensor
    constant: Tensor


class CarliniWagner(MinimalNorm):
    """Penalty attack in the L2 norm (Carlini and Wagner, 2017, arXiv 1608.04644, section V).

    Adam minimises the squared norm plus a constant times the hinge of the objective's margin, so
    that every task is served. The constant of each clip is searched by bisection: it grows until the
    attack succeeds, and shrinks from there. Learning rate and first constant follow from the
    boundary that the margin and its gradient predict, where the paper has fixed numbers, so that
    results scale with the unit of the input. Bounds are kept by projection and not by a change of
    variables: the hyperbolic tangent is flat where clean values are at the bounds. For the rest see
    ``MinimalNorm``.

    Args:
        ball: The L2 ball, with the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of Adam's steps for each constant, one gradient query each; two queries more
            are needed once.
        searches: Number of constants.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.

    Raises:
        ValueError: If there is no step, no constant, or a negative number of bisections.
        TypeError: If the ball is not an L2 ball.
    """

    def __init__(
        self,
        ball: L2,
        objective: Objective | None = None,
        *,
        steps: int = 100,
        searches: int = 6,
        shrink_steps: int = 10,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, steps=steps, shrink_steps=shrink_steps, **settings)
        if not isinstance(ball, L2):
            raise TypeError(
                f"CarliniWagner minimises the L2 norm; give L2 instead of {ball!r}, or use FMN."
            )
        if searches < 1:
            raise ValueError(f"CarliniWagner needs at least one constant, not {searches}.")
        self.searches = searches

    def minimise(self, query: Query, rng: RandomStreams) -> Tensor:
        """Search the constant of each clip, keep the smallest success, and shrink it."""
        outlook = self._outlook(query, rng)
        found, negative = torch.zeros_like(query.x), torch.full_like(outlook.scale, -torch.inf)
        constant = outlook.constant
        low, high = torch.zeros_like(constant), torch.full_like(constant, torch.inf)
        for _ in range(self.searches):
            other, size = self._descend(query, outlook, constant)
            found, negative = keep_worse(found, negative, other, -size)
            hit = size.isfinite()
            low, high = torch.where(hit, low, constant), torch.where(hit, constant, high)
            # The mean of the logarithms, because the first constant may be off by orders.
            middle = (low.clamp_min(constant / _GROWTH) * high).sqrt()
            constant = torch.where(high.isfinite(), middle, _GROWTH * constant)
        return self.shrink(query, found)

    def _outlook(self, query: Query, rng: RandomStreams) -> _Outlook:
        aim, x = self.objective.margin, query.x
        clean = query.gradient(torch.zeros_like(x), function=aim)
        lost = (l2_norm(clean.gradient) == 0) & (clean.value <= 0)
        start = query.project(self.kick(x, rng) * per_clip(lost, x))
        here = query.gradient(start, function=aim)
        slope = l2_norm(here.gradient)
        # Silence in the gradient predicts nothing; a margin of zero is a boundary not yet crossed.
        slope = torch.where(slope > 0, slope, here.value.abs() / l2_norm(start).clamp_min(_SMALL))
        ahead = here.value.abs() / slope.clamp_min(torch.finfo(slope.dtype).tiny)
        ahead = torch.minimum(ahead.clamp_min(_SMALL), self.farthest(x))
        steepest = self.ball.direction(here.gradient, x)
        # For a linear margin this constant leads to the boundary and not beyond it.
        constant = 2 * ahead / slope.clamp_min(_SMALL)
        return _Outlook(start, ahead * linf_norm(steepest), constant)

    def _descend(self, query: Query, outlook: _Outlook, constant: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest success on Adam's way, and its norm, shape (batch,); infinite without."""
        x, point = query.x, outlook.start
        best, smallest = torch.zeros_like(x), torch.full_like(constant, torch.inf)
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        scale, weight = per_clip(outlook.scale, x), per_clip(constant, x)
        for step in range(self.steps):
            here = query.gradient(point, function=self.objective.margin)
            size, hit = l2_norm(point), here.value > 0
            better = hit & (size < smallest)
            best = torch.where(per_clip(better, x), point, best)
            smallest = torch.where(better, size, smallest)
            slope = 2 * point - weight * here.gradient * per_clip(~hit, x)
            first = _BETA1 * first + (1 - _BETA1) * slope
            second = _BETA2 * second + (1 - _BETA2) * slope.square()
            mean = first / (1 - _BETA1 ** (step + 1))
            spread = (second / (1 - _BETA2 ** (step + 1))).sqrt()
            share = (1 + math.cos(math.pi * step / self.steps)) / 2
            rate = _LAST_RATE + (_FIRST_RATE - _LAST_RATE) * share
            tiny = torch.finfo(spread.dtype).tiny
            point = query.project(point - rate * scale * mean / spread.clamp_min(tiny))
        return best, smallest
