"""APGD: projected gradient ascent that finds its own step size."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from attacks.auto_pgd_l1 import climb_l1
from attacks.balls import L1, Ball
from attacks.base import Attack, Problem
from attacks.crafting import Precision
from attacks.domains.base import Bounds
from attacks.draws import Draws
from attacks.objectives import Objective
from attacks.sizes import keep_worse, per_clip
from attacks.views import View

_FIRST_STEP = 2.0  # in budgets
_NEW = 0.75  # share of the new step; the rest is momentum
_ENOUGH = 0.75  # share of steps that must have raised the objective
_FIRST_PERIOD, _SHORTER, _SHORTEST = 0.22, 0.03, 0.06  # in shares of all steps


def checkpoints(steps: int) -> list[int]:
    """After which steps APGD looks back; the last is before the end, for nothing follows it."""
    shares, period = [_FIRST_PERIOD], _FIRST_PERIOD
    while shares[-1] < 1:
        period = max(period - _SHORTER, _SHORTEST)
        shares.append(shares[-1] + period)
    # Rounded first: 100 steps times 0.22 is a little more than 22 in floating point.
    found = sorted({math.ceil(round(share * steps, 9)) for share in shares})
    return [step for step in found if step < steps]


class APGD(Attack):
    """Auto-PGD (Croce and Hein, 2020, arXiv 2003.01690, algorithm 1): no step size to choose.

    Steps have momentum and begin with twice the budget. At checkpoints, which come faster towards the
    end, each clip's step is halved and the search goes back to its worst point, if less than three
    quarters of the steps raised the objective, or if nothing was found with an unchanged step. The
    worst point on the path is returned.

    In the L1 ball the schedule is that of l1-APGD (Croce and Hein, 2021, arXiv 2103.01208), which
    adapts how many values a step moves, too. Other balls than Linf, L2 and L1 bring their own
    steepest direction and projection into the schedule of those two.

    Args:
        ball: Which perturbations are allowed.
        objective: What is maximised; ``None`` stands for ``SquaredError()``.
        steps: Number of steps and of gradient queries, at least 1.
        restarts: Number of random starts; the worst result of each clip is kept.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number.
        precision: In what gradients are computed, ``"fp32"`` or ``"bf16"``; see ``Attack``.

    Raises:
        ValueError: If there are no steps or no starts.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        steps: int = 100,
        restarts: int = 1,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(ball, objective, view, bounds, seed, precision)
        if steps < 1 or restarts < 1:
            raise ValueError(
                f"APGD needs at least one step and one start, not {steps}, {restarts}."
            )
        self.steps = steps
        self.restarts = restarts

    def solve(self, problem: Problem, draws: Draws) -> Tensor:
        """Climb from every start and keep each clip's worst result."""
        start = problem.start
        if start is None:
            start = problem.project(self.ball.inside(problem.x, draws.stream(0)))
        best, value = self._climb(problem, start)
        for restart in range(1, self.restarts):
            start = problem.project(self.ball.inside(problem.x, draws.stream(restart)))
            best, value = keep_worse(best, value, *self._climb(problem, start))
        return best

    def _climb(self, problem: Problem, start: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.ball, L1):
            return climb_l1(problem, self.ball, start, self.steps)
        path = _Path(start, *problem.gradient(start)[:2], _FIRST_STEP * self.ball.eps)
        periods = {end: end - begin for begin, end in pairwise([0, *checkpoints(self.steps)])}
        for step in range(1, self.steps):
            path.move(self._ahead(problem, path), problem)
            if step in periods:
                path.look_back(periods[step])
        last = self._ahead(problem, path)
        return keep_worse(path.best, path.most, last, problem.value(last))

    def _ahead(self, problem: Problem, path: _Path) -> Tensor:
        step = per_clip(path.step, path.point) * self.ball.direction(path.gradient, problem.x)
        plain = problem.project(path.point + step)
        if path.before is None:
            return plain
        momentum = path.point - path.before
        return problem.project(path.point + _NEW * (plain - path.point) + (1 - _NEW) * momentum)


class _Path:
    """Where the search of each clip is, where it was worst, and how far it steps."""

    def __init__(self, start: Tensor, gradient: Tensor, value: Tensor, step: float) -> None:
        self.point = self.best = start
        self.before: Tensor | None = None
        self.gradient = self.best_gradient = gradient
        self.value = self.most = self.most_at_check = value
        self.step = torch.full_like(value, step)
        self.risen = torch.zeros_like(value)
        # As in the authors' code, nothing is blamed on the first step size at the first check.
        self.halved = torch.ones_like(value, dtype=torch.bool)

    def move(self, point: Tensor, problem: Problem) -> None:
        """Go to the next point and look around."""
        here = problem.gradient(point)
        self.before, self.point, self.gradient = self.point, point, here.gradient
        self.risen = self.risen + (here.value > self.value)
        self.value = here.value
        better = per_clip(here.value > self.most, point)
        self.best = torch.where(better, point, self.best)
        self.best_gradient = torch.where(better, here.gradient, self.best_gradient)
        self.most = torch.maximum(self.most, here.value)

    def look_back(self, period: int) -> None:
        """Halve the step and return to the worst point, where the last steps were of no use."""
        stuck = ~self.halved & (self.most == self.most_at_check)
        self.halved = stuck | (self.risen <= _ENOUGH * period)
        self.step = torch.where(self.halved, self.step / 2, self.step)
        back = per_clip(self.halved, self.point)
        self.point = torch.where(back, self.best, self.point)
        self.gradient = torch.where(back, self.best_gradient, self.gradient)
        self.most_at_check, self.risen = self.most, torch.zeros_like(self.risen)
