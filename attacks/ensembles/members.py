"""The members of AudioAutoAttack, made for one batch by the line-up of a version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from steadyear.attacks.balls import L2, Ball, Linf, NormBall
from steadyear.attacks.black_box.nes import NES
from steadyear.attacks.black_box.square import Square
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Bounds
from steadyear.attacks.ensembles.objectives import LossBeyondSuccess
from steadyear.attacks.ensembles.plans import Lineup, Plan, WorstBy
from steadyear.attacks.ensembles.worst_case import Member
from steadyear.attacks.gradient.auto_pgd import APGD
from steadyear.attacks.minimal_norm.fmn import FMN
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.classes import DLR, Margin
from steadyear.foundation.task import TaskName

_DLR_CLASSES, _TARGETED_CLASSES = 3, 4
_SAMPLES = 50  # of an estimate of NES


class Cost(NamedTuple):
    """The most that a clip can cost.

    Attributes:
        gradient_queries: Gradients.
        forward_queries: Forward passes beside them.
    """

    gradient_queries: int
    forward_queries: int


class MemberFactory:
    """Makes the members of a version for a task.

    Args:
        plan: The version.
        task: The task.
        worst: What makes one perturbation worse than another.
        judge: What damage and success are.
        ball: Which perturbations are allowed.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
    """

    def __init__(
        self,
        plan: Plan,
        task: TaskName,
        worst: WorstBy,
        judge: Objective,
        ball: Ball,
        view: View,
        bounds: Bounds | None,
    ) -> None:
        self.plan, self.task, self.worst, self.judge = plan, task, worst, judge
        self.ball, self.view, self.bounds = ball, view, bounds
        self.lineup: Lineup = plan.lineups[worst][task]

    @property
    def continues_after_success(self) -> bool:
        """Whether the search goes on for clips with success."""
        return self.plan.further and self.worst == "success"

    @property
    def cost(self) -> Cost:
        """The most that a clip can cost."""
        plan, lineup = self.plan, self.lineup
        ascents = len(lineup.everyone) + len(lineup.resisting) + self.continues_after_success
        ascents += plan.targets if lineup.targeted else 0
        norm = lineup.boundary and isinstance(self.ball, NormBall)
        search = 0
        if self._knows_square():
            search = plan.queries + 1
        elif plan.everywhere:
            search = self._estimates() * _SAMPLES + 3
        return Cost(
            gradient_queries=plan.steps * (ascents + norm),
            # One at the end of every ascent, and one after every member to make sure.
            forward_queries=2 * ascents + norm * (plan.bisections + 1) + search,
        )

    def members(self, query: Query) -> Iterator[Member]:
        """Those that attack every clip, then those for clips that resist."""
        for objective in self.lineup.everyone:
            yield self._ascent(_able(objective, query), query.target, everyone=True)
        target = _decisions(query) if self.task == "multilabel" else query.target
        # In regression more damage is a nearer success, and worth having beyond it.
        ends = self.plan.until_success and self.task != "regression"
        for objective in self.lineup.resisting:
            yield self._ascent(_able(objective, query), target, ends)
        if self.lineup.targeted is not None:
            for wanted in _targets(self.task, query, self.plan.targets):
                yield self._ascent(self.lineup.targeted, wanted, self.plan.until_success)
        if self.lineup.boundary and isinstance(self.ball, NormBall):
            steps, bisections = self.plan.steps, self.plan.bisections
            fmn = FMN(
                self.ball, self.judge, steps=steps, shrink_steps=bisections,
                view=self.view, bounds=self.bounds,
            )  # fmt: skip
            yield Member(fmn, query.target)
        yield from self._search(target if self.lineup.search else query.target)

    def further(self, query: Query) -> Member:
        """The ascent of clips with success, from there."""
        if self.task != "multilabel":
            return self._ascent(self.judge, query.target)
        target = torch.stack([query.target.to(query.clean_prediction), query.clean_prediction], 1)
        return self._ascent(LossBeyondSuccess(self.judge), target)

    def _ascent(
        self,
        objective: Objective,
        target: Tensor,
        until_success: bool = False,
        everyone: bool = False,
    ) -> Member:
        attack = APGD(
            self.ball,
            objective,
            steps=self.plan.steps,
            view=self.view,
            bounds=self.bounds,
            until_success=until_success,
        )
        return Member(attack, target, everyone)

    def _search(self, target: Tensor) -> Iterator[Member]:
        """Random search, or estimated gradients where it does not know the ball."""
        objective, damage = self.lineup.search or self.judge, self.worst == "damage"
        attack: Attack | None = None
        if self._knows_square():
            queries = self.plan.queries
            attack = Square(
                self.ball, objective, queries=queries, until_success=not damage,
                view=self.view, bounds=self.bounds,
            )  # fmt: skip
        elif self.plan.everywhere:
            attack = NES(
                self.ball, objective, steps=self._estimates(), samples=_SAMPLES,
                view=self.view, bounds=self.bounds,
            )  # fmt: skip
        if attack is not None:
            yield Member(attack, target, everyone=damage)

    def _knows_square(self) -> bool:
        return type(self.ball) in (Linf, L2)

    def _estimates(self) -> int:
        return max(1, self.plan.queries // _SAMPLES)


def _able(objective: Objective, query: Query) -> Objective:
    """DLR needs three classes."""
    few = isinstance(objective, DLR) and query.clean_prediction.shape[1] < _DLR_CLASSES
    return Margin() if few else objective


def _decisions(query: Query) -> Tensor:
    """The model's own labels: an attack succeeds where one of them changes."""
    return (query.clean_prediction > 0).to(query.clean_prediction.dtype)


def _targets(task: TaskName, query: Query, number: int) -> Iterator[Tensor]:
    """What is wanted of every clip: another of the nearest labels, or of the likely classes."""
    clean = query.clean_prediction
    outputs = clean.shape[1]
    if task == "multilabel":
        nearest = clean.abs().argsort(1)
        for place in range(min(number, outputs)):
            label = nearest[:, [place]]
            direction = torch.where(clean.gather(1, label) > 0, -1.0, 1.0).to(clean)
            yield torch.zeros_like(clean).scatter(1, label, direction)
    elif outputs >= _TARGETED_CLASSES:
        true = query.target[:, None]
        likely = clean.scatter(1, true, -torch.inf).argsort(1, descending=True)
        for place in range(min(number, outputs - 1)):
            yield torch.cat([true, likely[:, [place]]], 1)
