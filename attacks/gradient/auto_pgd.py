"""APGD: projected gradient ascent that finds its own step size."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import L1, Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.gradient.active_set import ActiveSet, check_patience
from steadyear.attacks.gradient.auto_pgd_l1 import ascend_l1
from steadyear.attacks.gradient.starts import side_by_side, worst_of_starts
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams

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
        steps: Number of steps and of gradient queries, at least 1.
        restarts: Number of random starts; the worst result of each clip is kept.
        until_success: Leave a clip alone soon after the attack has reached its aim there. Rates of
            success are the same, sooner; the damage is only what was done so far.
        patience: Leave a clip alone whose objective has grown by less than 0.1 % in so many steps;
            ``None`` never does.

    Raises:
        ValueError: If there are no steps, no starts or no patience.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        steps: int = 100,
        restarts: int = 1,
        until_success: bool = False,
        patience: int | None = None,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        check_patience(patience)
        if steps < 1 or restarts < 1:
            raise ValueError(
                f"APGD needs at least one step and one start, not {steps}, {restarts}."
            )
        self.steps = steps
        self.restarts = restarts
        self.until_success = until_success
        self.patience = patience

    @property
    def copies(self) -> int:
        """Once per start, where these are searched side by side."""
        return side_by_side(self, self.restarts)

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Ascend from every start and keep each clip's worst result."""
        streams = range(self.restarts)
        if query.start is not None:
            streams = range(1, self.restarts)
        drawn = [self.ball.sample_in_ball(query.x, rng.stream(number)) for number in streams]
        starts = drawn if query.start is None else [query.start, *drawn]
        return worst_of_starts(query, starts, self._ascend)

    def _ascend(self, query: Query, start: Tensor) -> tuple[Tensor, Tensor]:
        active = ActiveSet(query, self.until_success, self.patience)
        start = query.project(start)
        if isinstance(self.ball, L1):
            return ascend_l1(query, self.ball, active, start, self.steps)
        path = _Path(query, active, start, _FIRST_STEP * self.ball.eps)
        periods = {end: end - begin for begin, end in pairwise([0, *checkpoints(self.steps)])}
        for step in range(1, self.steps):
            if not active.look(step, path.most):
                return path.best, path.most
            path.move()
            if step in periods:
                path.look_back(periods[step])
        return active.judged(path.best, path.most, path.ahead())


class _Path:
    """Where the search of each clip is, where it was worst, and how far it steps.

    Clips that are left alone stay where they were.
    """

    def __init__(self, query: Query, active: ActiveSet, start: Tensor, step: float) -> None:
        self.query, self.active, self.ball = query, active, query.threat.ball
        here = query.gradient(start)
        self.point, self.best = start.clone(), start.clone()
        self.before: Tensor | None = None
        self.gradient, self.best_gradient = here.gradient, here.gradient.clone()
        self.value, self.most = (
            here.value.clone(),
            active.worth(here.value, here.prediction).clone(),
        )
        self.most_at_check = self.most.clone()
        self.step = torch.full_like(self.value, step)
        self.risen = torch.zeros_like(self.value)
        # As in the authors' code, nothing is blamed on the first step size at the first check.
        self.halved = torch.ones_like(self.value, dtype=torch.bool)

    def ahead(self) -> Tensor:
        """The next point of the clips that are left."""
        some, clips = self.active.chosen, self.active.clips
        point = self.point[some]
        direction = self.ball.direction(self.gradient[some], self.query.clean_clips(clips))
        plain = self.query.project(point + per_clip(self.step[some], point) * direction, clips)
        if self.before is None:
            return plain
        momentum = point - self.before[some]
        return self.query.project(point + _NEW * (plain - point) + (1 - _NEW) * momentum, clips)

    def move(self) -> None:
        """Go to the next point and look around."""
        some, point = self.active.chosen, self.ahead()
        here = self.query.gradient(point, self.active.clips)
        if self.before is None:
            self.before = self.point.clone()
        self.before[some], self.point[some] = self.point[some], point
        self.gradient[some] = here.gradient
        self.risen[some] += here.value > self.value[some]
        self.value[some] = here.value
        worth = self.active.worth(here.value, here.prediction)
        better = per_clip(worth > self.most[some], point)
        self.best[some] = torch.where(better, point, self.best[some])
        self.best_gradient[some] = torch.where(better, here.gradient, self.best_gradient[some])
        self.most[some] = torch.maximum(self.most[some], worth)

    def look_back(self, period: int) -> None:
        """Halve the step and return to the worst point, where the last steps were of no use."""
        stuck = ~self.halved & (self.most == self.most_at_check)
        self.halved = stuck | (self.risen <= _ENOUGH * period)
        self.step = torch.where(self.halved, self.step / 2, self.step)
        back = per_clip(self.halved, self.point)
        self.point = torch.where(back, self.best, self.point)
        self.gradient = torch.where(back, self.best_gradient, self.gradient)
        self.most_at_check, self.risen = self.most.clone(), torch.zeros_like(self.risen)
