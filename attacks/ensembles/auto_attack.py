"""AudioAutoAttack: several attacks without settings, and the worst of them for every clip."""

from __future__ import annotations

from typing import Unpack, get_args

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.ensembles.members import Cost, MemberFactory
from steadyear.attacks.ensembles.plans import PLANS, Version, WorstBy
from steadyear.attacks.ensembles.worst_case import WorstCase, run_member
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.classes import CrossEntropy
from steadyear.attacks.objectives.multilabel import OutputLoss
from steadyear.attacks.objectives.regression import AbsoluteError
from steadyear.foundation.random_streams import RandomStreams
from steadyear.foundation.task import TaskName

_ROUNDING = 1e-3  # share of the damage that may be due to the copy that gradients are taken from


class AudioAutoAttack(Attack):
    """A fixed ensemble of attacks; the worst perturbation that any of them evaluated is kept.

    Two questions can be asked of it. How many clips break: success is worse than any damage. Or how
    badly: the most damage, whether or not a clip breaks. With labels one clip cannot always answer
    both, for the budget that flips a label is missing for the loss of all others, and a flip may
    even put a wrong decision right. So a figure names what was the worst, and the version.

    ``worst="success"`` begins with ascents of the damage for every clip. Then clips that still
    resist meet, one after the other, ascents that seek nothing but success and end with it, FMN as a
    search for the boundary, and a search without gradients, which notices gradients that lead
    astray. Last, clips that broke late, or whose success cost damage, are continued from there; what
    loses success again is not kept. Clips that were wrong before the attack succeed at once and get
    the ascents for everyone.

    | task | every clip | clips that resist | without gradients | damage |
    | --- | --- | --- | --- | --- |
    | regression | absolute, squared error | all outputs up, all down; FMN | absolute error | absolute error |
    | multilabel | cross-entropy | wrong labels; flip one of the nearest; FMN | label margin | cross-entropy |
    | multiclass | cross-entropy | DLR; DLR to a likely class; FMN | margin | cross-entropy |

    ``worst="damage"`` lets every member attack every clip: damage from three starts; squared error,
    up and down, or the smooth hinge of labels, or DLR; and the search without gradients, by the
    damage.

    The search is Square in Linf and L2, and NES in all other balls. The ensemble follows AutoAttack
    (Croce and Hein, 2020, arXiv 2003.01690) and extends it to tasks with many outputs.

    Version 1.0 knows success only. There the smooth hinge and DLR attack every clip and wrong labels
    none, DLR has one start instead of three, ascents do not end with success and no clip is continued
    on, and balls other than Linf and L2 are searched by gradients alone.

    Args:
        task: ``regression``, ``multilabel`` or ``multiclass``.
        tolerance: For regression: the attack succeeds when the mean absolute error grows by more
            than this.
        version: ``1.1``: 100 steps, 9 targets, 5000 queries. ``1.1-quick``: 20 steps, 3 targets,
            200 queries, to look at a model before the full run. ``1.0`` and ``1.0-quick``, for
            figures that name them.
        worst: ``success``: how many clips break. ``damage``: how badly.

    Raises:
        ValueError: If the task or the version is unknown, or the version does not know the question.
    """

    def __init__(
        self,
        ball: Ball,
        task: TaskName = "regression",
        tolerance: float = 0.1,
        version: Version = "1.1",
        worst: WorstBy = "success",
        **settings: Unpack[AttackSettings],
    ) -> None:
        if task not in get_args(TaskName) or version not in PLANS:
            raise ValueError(
                f"AudioAutoAttack knows the tasks {get_args(TaskName)} and the versions "
                f"{tuple(PLANS)}, not {task!r} and {version!r}."
            )
        if worst not in PLANS[version].lineups:
            raise ValueError(
                f"The worst of version {version} is by {' or '.join(PLANS[version].lineups)}, not "
                f"by {worst!r}."
            )
        super().__init__(ball, _judge(task, tolerance), **settings)
        self.task = task
        self.tolerance = tolerance
        self.version = version
        self.worst = worst

    @property
    def cost(self) -> Cost:
        """The most that a clip can cost; the result has what each clip did cost."""
        return self._members().cost

    def _members(self) -> MemberFactory:
        plan, judge = PLANS[self.version], self.objective
        return MemberFactory(plan, self.task, self.worst, judge, self.ball, self.view, self.bounds)

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Run the members one after the other, and keep each clip's worst perturbation."""
        factory, success_first = self._members(), self.worst == "success"
        clean = query.clean_prediction
        worst = WorstCase(self.objective, query.x, clean, query.target, success_first)
        early = worst.success.clone()
        for number, member in enumerate(factory.members(query)):
            clips = _chosen(query, torch.ones_like(early) if member.everyone else ~worst.success)
            if len(clips) == 0:
                break
            start = query.start if number == 0 else None
            run_member(query, member, clips, worst, rng.part(number, clips), start)
            if member.everyone:
                early = worst.success.clone()
        if factory.continues_after_success:
            lost = worst.value < (1 - _ROUNDING) * worst.largest
            clips = _chosen(query, worst.success & (~early | lost))
            if len(clips) > 0:
                member, start = factory.further(query), worst.perturbation[clips]
                run_member(query, member, clips, worst, rng.part(0, clips), start)
        return worst.perturbation


def _chosen(query: Query, chosen: Tensor) -> Tensor:
    """Positions of the chosen clips; of all, where one of them cannot be asked for alone."""
    return (chosen if query.clips_independent else chosen.any().expand_as(chosen)).nonzero()[:, 0]


def _judge(task: TaskName, tolerance: float) -> Objective:
    if task == "regression":
        return AbsoluteError(tolerance=tolerance)
    return OutputLoss() if task == "multilabel" else CrossEntropy()
