"""Searches for the smallest norm with a radius that shrinks and grows."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from steadyear.attacks.core.query import ClipFunction, Query
from steadyear.attacks.minimal_norm.base import NEAREST, MinimalNorm
from steadyear.attacks.signal.sizes import keep_worse, per_clip
from steadyear.foundation.random_streams import RandomStreams

_FIRST_STEP, _LAST_STEP = 1.0, 0.01  # shares of the radius
FIRST_GAMMA = 0.05  # share by which a radius changes at first


class RadiusSearch(MinimalNorm):
    """Base of the searches in a ball that breathes: FMN and DDN.

    Each clip has a radius of its own: it shrinks where the attack succeeds and grows where it does
    not. Until the first success it reaches a little beyond the boundary that the margin and its
    gradient predict. An objective may know several paths (classes: the soft margin and the margin),
    which share the steps. The smallest perturbation with success is kept, and at last drawn towards
    the clean clip by bisection.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps, one gradient query each, shared by the objective's paths.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.
    """

    @abstractmethod
    def shrunk(self, radius: Tensor, best: Tensor, gamma: float) -> Tensor:
        """Radius of each clip after a success, given the norm of its best one, shape (batch,)."""

    @abstractmethod
    def gamma(self, annealing: float) -> float:
        """Share by which radii change; ``annealing`` falls from 1 to 0."""

    @abstractmethod
    def confined(self, point: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """The perturbation of each clip that belongs to its radius."""

    def minimise(self, query: Query, rng: RandomStreams) -> Tensor:
        """Search along each path of the objective, then shrink the smaller of what was found."""
        paths = self.objective.paths()
        kick = self.ball.direction(rng.normal(query.x), query.x)
        found, negative = torch.zeros_like(query.x), query.x.new_full((len(kick),), -torch.inf)
        for number, aim in enumerate(paths):
            steps = (self.steps + number) // len(paths)
            other, size = self._search(query, aim, kick, steps)
            found, negative = keep_worse(found, negative, other, -size)
        return self.shrink(query, found)

    def _search(
        self, query: Query, aim: ClipFunction, kick: Tensor, steps: int
    ) -> tuple[Tensor, Tensor]:
        x = query.x
        own, farthest = self.own_size(x), self.farthest(x)
        point = best = torch.zeros_like(x)
        smallest, radius = torch.full_like(own, torch.inf), torch.zeros_like(own)
        for step in range(steps):
            annealing = (1 + math.cos(math.pi * step / steps)) / 2
            here = query.gradient(point, function=aim)
            margin = self.objective.margin(here.prediction, query.clean_prediction, query.target)
            size, hit = self.ball.size(point, x), margin > 0
            better = hit & (size < smallest)
            best = torch.where(per_clip(better, x), point, best)
            smallest = torch.where(better, size, smallest)
            slope = self.ball.dual_norm(here.gradient, x)
            ahead = torch.where(slope > 0, margin.abs() / slope, NEAREST * own)
            gamma = self.gamma(annealing)
            # The predicted boundary itself would only be approached, and never crossed.
            unmet = torch.where(
                smallest.isfinite(), radius * (1 + gamma), (size + ahead) * (1 + FIRST_GAMMA)
            )
            radius = torch.where(hit, self.shrunk(radius, smallest, gamma), unmet)
            radius = torch.minimum(radius, farthest)
            stride = self.ball.search_direction(here.gradient, x)
            way = torch.where(per_clip(slope > 0, x), stride, kick)
            share = _LAST_STEP + (_FIRST_STEP - _LAST_STEP) * annealing
            point = query.project(
                self.confined(point + per_clip(share * radius, x) * way, radius, x)
            )
        return best, smallest
