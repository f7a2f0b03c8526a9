"""Attacks that look for the smallest perturbation with success: what they share, FMN and DDN."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import final

import torch
from torch import Tensor

from steadyear.attacks.balls import L2, NormBall
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.problem import Aim, Problem, Subset
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Bounds
from steadyear.attacks.objectives.base import Objective, refuse_coupled
from steadyear.attacks.signal.sizes import keep_worse, per_clip
from steadyear.foundation.random_streams import RandomStreams

_FIRST_STEP, _LAST_STEP = 1.0, 0.01  # shares of the radius
_FIRST_GAMMA, _LAST_GAMMA = 0.05, 0.001
# In multiples of the clip's own size: a first step without a gradient, and where a search gives up.
_NEAREST, _FARTHEST = 1e-3, 100.0


class MinimalNorm(Attack):
    """Base of the attacks that minimise the norm instead of spending a budget.

    ``ball`` names the norm. With ``eps`` infinite nothing limits the search but 100 times the clip's
    own size; a finite ``eps`` is a cap, and what needs more is no success. A clip without success
    is handed back clean: size 0 and ``success`` false. A clip that is beyond its aim before the attack has
    size 0 and ``success`` true.

    Figures of the damage mean little here, for it is just beyond the aim by construction: the size
    of the perturbations is the result.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps.
        shrink_steps: Number of bisections of a line, one forward pass each, without gradient.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number; there is one where a gradient vanishes.

    Raises:
        ValueError: If there is no step, a negative number of bisections, or the objective has one
            value for a whole batch.
        TypeError: If the ball has no norm.
    """

    ball: NormBall

    def __init__(
        self,
        ball: NormBall,
        objective: Objective | None = None,
        steps: int = 100,
        shrink_steps: int = 10,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(ball, objective, view, bounds, seed)
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

    @final
    def solve(self, problem: Problem, rng: RandomStreams) -> Tensor:
        """Search for all clips but those that are beyond their aim already: these need nothing."""
        if not problem.divisible:
            return self.minimise(problem, rng)
        clean = problem.clean
        clips = (~self.objective.success(clean, clean, problem.target)).nonzero()[:, 0]
        found = torch.zeros_like(problem.x)
        if len(clips):
            found[clips] = self.minimise(Subset(problem, clips), rng.of(clips))
        return found

    @abstractmethod
    def minimise(self, problem: Problem, rng: RandomStreams) -> Tensor:
        """Find a small perturbation with success of each clip, or zero, shape (batch, ...)."""

    def shrink(self, problem: Problem, found: Tensor) -> Tensor:
        """Draw what was found towards the clean clip, as far as the attack still succeeds.

        Args:
            problem: What may be asked.
            found: A perturbation with success, or zero, of each clip, shape (batch, ...).
        """
        low = found.new_zeros(len(found))
        high = torch.ones_like(low)
        for _ in range(self.shrink_steps):
            middle = (low + high) / 2
            hit = problem.success(problem.project(found * per_clip(middle, found)))
            low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
        return found * per_clip(high, found)

    def own_size(self, x: Tensor) -> Tensor:
        """Size of each clip itself, shape (batch,), the natural unit of a search; 1 for silence."""
        own = self.ball.size(x, x)
        return torch.where(own > 0, own, 1.0)

    def farthest(self, x: Tensor) -> Tensor:
        """Where a search gives up, shape (batch,)."""
        return (_FARTHEST * self.own_size(x)).clamp_max(self.ball.eps)

    def kick(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """A tiny random step for clips without a gradient, shape (batch, ...)."""
        direction = self.ball.direction(rng.normal(x), x)
        return direction * per_clip(_NEAREST * self.own_size(x), x)


class RadiusSearch(MinimalNorm):
    """Base of the searches in a ball that breathes: FMN and DDN.

    Each clip has a radius of its own: it shrinks where the attack succeeds and grows where it does
    not. Until the first success it reaches a little beyond the boundary that the margin and its
    gradient foretell. An objective may know several paths (classes: the soft margin and the margin),
    which share the steps. The smallest perturbation with success is kept, and at last drawn towards
    the clean clip by bisection.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps, one gradient query each, shared by the objective's paths.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number; there is one where a gradient vanishes.
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

    def minimise(self, problem: Problem, rng: RandomStreams) -> Tensor:
        """Search along each path of the objective, then shrink the smaller of what was found."""
        paths = self.objective.paths()
        kick = self.ball.direction(rng.normal(problem.x), problem.x)
        found, negative = torch.zeros_like(problem.x), problem.x.new_full((len(kick),), -torch.inf)
        for number, aim in enumerate(paths):
            steps = (self.steps + number) // len(paths)
            other, size = self._search(problem, aim, kick, steps)
            found, negative = keep_worse(found, negative, other, -size)
        return self.shrink(problem, found)

    def _search(
        self, problem: Problem, aim: Aim, kick: Tensor, steps: int
    ) -> tuple[Tensor, Tensor]:
        x = problem.x
        own, farthest = self.own_size(x), self.farthest(x)
        point = best = torch.zeros_like(x)
        smallest, radius = torch.full_like(own, torch.inf), torch.zeros_like(own)
        for step in range(steps):
            annealing = (1 + math.cos(math.pi * step / steps)) / 2
            here = problem.gradient(point, aim=aim)
            margin = self.objective.margin(here.prediction, problem.clean, problem.target)
            size, hit = self.ball.size(point, x), margin > 0
            better = hit & (size < smallest)
            best = torch.where(per_clip(better, x), point, best)
            smallest = torch.where(better, size, smallest)
            slope = self.ball.dual_norm(here.gradient, x)
            ahead = torch.where(slope > 0, margin.abs() / slope, _NEAREST * own)
            gamma = self.gamma(annealing)
            # The foretold boundary itself would only be approached, and never crossed.
            unmet = torch.where(
                smallest.isfinite(), radius * (1 + gamma), (size + ahead) * (1 + _FIRST_GAMMA)
            )
            radius = torch.where(hit, self.shrunk(radius, smallest, gamma), unmet)
            radius = torch.minimum(radius, farthest)
            stride = self.ball.search_direction(here.gradient, x)
            way = torch.where(per_clip(slope > 0, x), stride, kick)
            share = _LAST_STEP + (_FIRST_STEP - _LAST_STEP) * annealing
            point = problem.project(
                self.confined(point + per_clip(share * radius, x) * way, radius, x)
            )
        return best, smallest


class FMN(RadiusSearch):
    """Fast minimum-norm attack (Pintor et al., 2021, arXiv 2102.12827, algorithm 1).

    The radius shrinks and grows by a share that falls from 5 % to 0.1 %, and is never larger than
    the best norm. Steps are shares of the radius in the ball's steepest direction, from all of it
    to one hundredth, so that results scale with the unit of the input; in the paper they
    are lengths of the raw gradient.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps, one gradient query each, shared by the objective's paths.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number; there is one where a gradient vanishes.
    """

    def gamma(self, annealing: float) -> float:
        """Falls with the cosine."""
        return _LAST_GAMMA + (_FIRST_GAMMA - _LAST_GAMMA) * annealing

    def shrunk(self, radius: Tensor, best: Tensor, gamma: float) -> Tensor:
        """Smaller than before, and at most the best norm."""
        return torch.minimum(radius * (1 - gamma), best)

    def confined(self, point: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """The nearest perturbation within the radius."""
        return self.ball.project_to_radius(point, radius, x)


class DDN(RadiusSearch):
    """Decoupled direction and norm (Rony et al., 2019, arXiv 1811.09600, algorithm 1); L2 only.

    The radius shrinks and grows by 5 %, and every perturbation is scaled to it. The first radius
    comes from the margin and its gradient, where the paper starts at 1.

    Args:
        ball: The L2 ball, with the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Number of steps, one gradient query each, shared by the objective's paths.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number; there is one where a gradient vanishes.

    Raises:
        TypeError: If the ball is not an L2 ball.
    """

    def __init__(
        self,
        ball: L2,
        objective: Objective | None = None,
        steps: int = 100,
        shrink_steps: int = 10,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(ball, objective, steps, shrink_steps, view, bounds, seed)
        if not isinstance(ball, L2):
            raise TypeError(f"DDN minimises the L2 norm; give L2 instead of {ball!r}, or use FMN.")

    def gamma(self, annealing: float) -> float:
        """Always the same."""
        return _FIRST_GAMMA

    def shrunk(self, radius: Tensor, best: Tensor, gamma: float) -> Tensor:
        """Smaller than before."""
        return radius * (1 - gamma)

    def confined(self, point: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """The perturbation scaled to the radius."""
        tiny = torch.finfo(point.dtype).tiny
        return point * per_clip(radius / self.ball.size(point, x).clamp_min(tiny), point)
