"""AudioAutoAttack: several attacks without settings, and the worst of them for every clip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from attacks.auto_pgd import APGD
from attacks.balls import L2, Ball, Linf, NormBall
from attacks.base import Attack
from attacks.class_objectives import DLR, CrossEntropy, Margin, TargetedDLR
from attacks.crafting import Precision
from attacks.domains.base import Bounds
from attacks.draws import Draws
from attacks.ensemble_parts import Member, Part, Wish, Worst
from attacks.label_objectives import LabelMargin
from attacks.minimal_norm import FMN
from attacks.multilabel_objectives import OutputLoss
from attacks.objectives import AbsoluteError, Objective, Shift, SquaredError
from attacks.problem import Problem
from attacks.ranking_objectives import ScaleFreeHinge
from attacks.square import Square
from attacks.views import View

Task = Literal["regression", "multilabel", "multiclass"]
Version = Literal["1.0", "1.0-quick"]


class Cost(NamedTuple):
    """The most that a clip can cost.

    Attributes:
        gradient_queries: Gradients.
        forward_queries: Forward passes beside them.
    """

    gradient_queries: int
    forward_queries: int


class _Plan(NamedTuple):
    steps: int
    targets: int
    bisections: int
    queries: int


_FOR_ALL = 2  # members that attack every clip
_DLR_CLASSES, _TARGETED_CLASSES = 3, 4
# Never changed: a published figure names its version. What is better becomes a new version.
_PLANS: dict[str, _Plan] = {
    "1.0": _Plan(steps=100, targets=9, bisections=10, queries=5000),
    "1.0-quick": _Plan(steps=20, targets=3, bisections=5, queries=200),
}


class AudioAutoAttack(Attack):
    """A fixed ensemble of attacks; the worst perturbation that any of them asked about is kept.

    Two APGD with different objectives attack every clip. Then clips that still resist meet, one
    after the other, targeted APGD, FMN as a search for the boundary, and Square, which needs no
    gradient. Worst means: success first, then the objective of the task. The ensemble follows
    AutoAttack (Croce and Hein, 2020, arXiv 2003.01690) and extends it to tasks with many outputs.

    | task | all clips | clips that resist | judge |
    | --- | --- | --- | --- |
    | regression | absolute, squared error | all outputs up, all down; FMN; Square | absolute error |
    | multilabel | cross-entropy, smooth hinge | flip one of the nearest labels; FMN; Square | cross-entropy |
    | multiclass | cross-entropy, DLR | DLR to a likely class; FMN; Square | cross-entropy |

    FMN needs the ball of a norm, Square needs Linf or L2; in other balls they are left out.
    Damage after success is not sought further than the first two go: figures of damage are those of
    two APGD, the rate of success is that of all.

    Args:
        ball: Which perturbations are allowed.
        task: ``regression``, ``multilabel`` or ``multiclass``.
        tolerance: For regression: the attack succeeds when the mean absolute error grows by more
            than this.
        version: ``1.0``: 100 steps, 9 targets, 5000 queries. ``1.0-quick``: 20 steps, 3 targets,
            200 queries, to look at a model before the full run.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor.
        seed: First part of the key of every random number.
        precision: In what gradients are computed, ``"fp32"`` or ``"bf16"``; see ``Attack``.

    Raises:
        ValueError: If the task or the version is unknown.
    """

    def __init__(
        self,
        ball: Ball,
        task: Task = "regression",
        tolerance: float = 0.1,
        version: Version = "1.0",
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
        precision: Precision = "fp32",
    ) -> None:
        if task not in get_args(Task) or version not in _PLANS:
            raise ValueError(
                f"AudioAutoAttack knows the tasks {get_args(Task)} and the versions "
                f"{tuple(_PLANS)}, not {task!r} and {version!r}."
            )
        super().__init__(ball, _judge(task, tolerance), view, bounds, seed, precision)
        self.task = task
        self.tolerance = tolerance
        self.version = version

    @property
    def cost(self) -> Cost:
        """The most that a clip can cost; the result has what each clip did cost."""
        plan = _PLANS[self.version]
        targets = 2 if self.task == "regression" else plan.targets
        climbs = 2 + targets
        norm, square = isinstance(self.ball, NormBall), type(self.ball) in (Linf, L2)
        return Cost(
            gradient_queries=plan.steps * (climbs + norm),
            # One at the end of every climb, and one after every member to make sure.
            forward_queries=2 * climbs + norm * (plan.bisections + 1) + square * (plan.queries + 1),
        )

    def solve(self, problem: Problem, draws: Draws) -> Tensor:
        """Run the members one after the other, and keep each clip's worst perturbation."""
        everyone = torch.arange(len(problem.x), device=problem.x.device)
        worst = Worst(self.objective, problem.x, problem.clean, problem.target)
        for number, member in enumerate(self._members(problem)):
            clips = everyone
            if number >= _FOR_ALL:
                if bool(worst.hit.all()):
                    break
                if problem.divisible:
                    clips = (~worst.hit).nonzero()[:, 0]
            part = Part(problem, member, clips)
            if number == 0:
                part.start = problem.start
            member.attack.solve(part, draws.part(number, clips))
            part.close(worst)
        return worst.perturbation

    def _members(self, problem: Problem) -> Iterator[Member]:
        targeted = {
            "regression": self._regression,
            "multilabel": self._multilabel,
            "multiclass": self._multiclass,
        }
        yield from targeted[self.task](problem)
        plan, judge = _PLANS[self.version], self.objective
        if isinstance(self.ball, NormBall):
            fmn = FMN(self.ball, judge, plan.steps, plan.bisections, self.view, self.bounds)
            yield Member(fmn, problem.target)
        if type(self.ball) in (Linf, L2):
            yield self._square(problem, plan.queries)

    def _climb(self, objective: Objective, target: Tensor) -> Member:
        steps = _PLANS[self.version].steps
        return Member(APGD(self.ball, objective, steps, 1, self.view, self.bounds), target)

    def _regression(self, problem: Problem) -> Iterator[Member]:
        for objective in (AbsoluteError(), SquaredError(), Shift(), Shift(down=True)):
            yield self._climb(objective, problem.target)

    def _multilabel(self, problem: Problem) -> Iterator[Member]:
        yield self._climb(OutputLoss(), problem.target)
        yield self._climb(ScaleFreeHinge(), problem.target)
        nearest = problem.clean.abs().argsort(1)
        for number in range(min(_PLANS[self.version].targets, nearest.shape[1])):
            label = nearest[:, [number]]
            wish = torch.where(problem.clean.gather(1, label) > 0, -1.0, 1.0).to(problem.clean)
            target = torch.zeros_like(problem.clean).scatter(1, label, wish)
            yield self._climb(Wish(), target)

    def _multiclass(self, problem: Problem) -> Iterator[Member]:
        classes = problem.clean.shape[1]
        yield self._climb(CrossEntropy(), problem.target)
        yield self._climb(DLR() if classes >= _DLR_CLASSES else Margin(), problem.target)
        if classes < _TARGETED_CLASSES:
            return
        label = problem.target[:, None]
        likely = problem.clean.scatter(1, label, -torch.inf).argsort(1, descending=True)
        for number in range(min(_PLANS[self.version].targets, classes - 1)):
            pair = torch.cat([label, likely[:, [number]]], 1)
            yield self._climb(TargetedDLR(), pair)

    def _square(self, problem: Problem, queries: int) -> Member:
        objective, target = self.objective, problem.target
        if self.task == "multiclass":
            objective = Margin()
        if self.task == "multilabel":
            objective, target = LabelMargin(), _decisions(problem)
        square = Square(
            self.ball, objective, queries, until_success=True, view=self.view, bounds=self.bounds
        )
        return Member(square, target)


def _decisions(problem: Problem) -> Tensor:
    """The model's own labels: an attack succeeds where one of them changes."""
    return (problem.clean > 0).to(problem.clean.dtype)


def _judge(task: Task, tolerance: float) -> Objective:
    if task == "regression":
        return AbsoluteError(tolerance=tolerance)
    return OutputLoss() if task == "multilabel" else CrossEntropy()
