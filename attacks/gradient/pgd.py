"""Attacks that follow the gradient with a fixed step: FGSM, BIM and PGD."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.gradient.active_set import ActiveSet, check_patience
from steadyear.attacks.gradient.starts import side_by_side, worst_of_starts
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams


class PGD(Attack):
    """Projected gradient ascent (Madry et al., 2018, arXiv 1706.06083).

    Args:
        steps: Number of steps, at least 1.
        relative_step: Step size as a share of the budget, so that one setting serves a whole grid
            of budgets; ``None`` stands for 2.5 / steps.
        random_start: Start at a random point of the ball instead of the clean clip.
        restarts: Number of random starts; the worst result of each clip is kept. They run side by
            side, as a batch that is larger by this factor.
        keep_best: Return the worst point on the path rather than the last one.
        until_success: Leave a clip alone soon after the attack has reached its aim there. Rates of
            success are the same, sooner; the damage is only what was done so far.
        patience: Leave a clip alone whose objective has grown by less than 0.1 % in so many steps;
            ``None`` never does.

    Raises:
        ValueError: If there are no steps, no starts, restarts that would all be the same, or clips
            are to be left alone without ``keep_best``.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        steps: int = 10,
        relative_step: float | None = None,
        random_start: bool = True,
        restarts: int = 1,
        keep_best: bool = True,
        until_success: bool = False,
        patience: int | None = None,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if steps < 1 or restarts < 1:
            raise ValueError(f"PGD needs at least one step and one start, not {steps}, {restarts}.")
        if restarts > 1 and not random_start:
            raise ValueError("Restarts without random_start repeat one path; set random_start.")
        check_patience(patience)
        if (until_success or patience is not None) and not keep_best:
            raise ValueError("until_success and patience keep what was found: set keep_best.")
        self.steps = steps
        self.relative_step = 2.5 / steps if relative_step is None else relative_step
        self.random_start = random_start
        self.restarts = restarts
        self.keep_best = keep_best
        self.until_success = until_success
        self.patience = patience

    def starts_at_clean(self) -> bool:
        """Without a random start."""
        return not self.random_start

    @property
    def copies(self) -> int:
        """Once per start, where these are searched side by side."""
        return side_by_side(self, self.restarts)

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Ascend from every start and keep each clip's worst result."""
        return worst_of_starts(query, self._starts(query, rng), self._ascend)

    def _starts(self, query: Query, rng: RandomStreams) -> list[Tensor]:
        if not self.random_start:
            return [torch.zeros_like(query.x)]
        streams = range(self.restarts)
        if query.start is not None:
            streams = range(1, self.restarts)
        drawn = [self.ball.sample_in_ball(query.x, rng.stream(number)) for number in streams]
        return drawn if query.start is None else [query.start, *drawn]

    def _ascend(self, query: Query, start: Tensor) -> tuple[Tensor, Tensor]:
        x, point = query.x, query.project(start).clone()
        best, value = point.clone(), x.new_full((len(x),), -torch.inf)
        active = ActiveSet(query, self.until_success, self.patience)
        step = self.relative_step * self.ball.eps
        for number in range(self.steps):
            if not active.look(number, value):
                return best, value
            some = active.chosen
            here = query.gradient(point[some], active.clips)
            if self.keep_best:
                worth = active.worth(here.value, here.prediction)
                best[some], value[some] = keep_worse(best[some], value[some], point[some], worth)
            moved = point[some] + step * self.ball.direction(
                here.gradient, query.clean_clips(active.clips)
            )
            point[some] = query.project(moved, active.clips)
        if not self.keep_best and self.restarts == 1:
            return point, value
        if self.keep_best:
            return active.judged(best, value, point[active.chosen])
        return point, query.value(point)


class BIM(PGD):
    """Basic iterative method: PGD from the clean clip (Kurakin et al., 2017, arXiv 1607.02533)."""

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        steps: int = 10,
        relative_step: float | None = None,
        keep_best: bool = True,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(
            ball,
            objective,
            steps=steps,
            relative_step=relative_step,
            random_start=False,
            keep_best=keep_best,
            **settings,
        )


class FGSM(PGD):
    """Fast gradient method: one step of the whole budget (Goodfellow et al., 2015, 1412.6572).

    The sign of the gradient in the Linf ball, the normalised gradient in the L2 ball.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(
            ball,
            objective,
            steps=1,
            relative_step=1.0,
            random_start=False,
            keep_best=False,
            **settings,
        )
