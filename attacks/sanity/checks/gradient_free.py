"""Do attacks that need no gradient find more? Checks 16 and 18."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.balls import L2, Linf
from steadyear.attacks.black_box.square import Square
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.classes import CrossEntropy, Margin
from steadyear.attacks.objectives.multilabel import OutputLoss
from steadyear.attacks.objectives.ranking import ScaleFreeHinge
from steadyear.attacks.sanity.checks.effort import gain_judge, with_harm
from steadyear.attacks.sanity.checks.ray_search import RaySearch
from steadyear.attacks.sanity.protocol.context import CheckContext
from steadyear.attacks.sanity.protocol.registry import check, share_judge

_QUERIES = 300


@check(
    16,
    "black_box",
    "damage that a search without gradients adds",
    gain_judge(
        f"a random search of {_QUERIES} queries", "its gradients are masked", good=0.01, bad=0.05
    ),
    "attack",
    "full",
)
def black_box(context: CheckContext) -> dict[str, Tensor] | None:
    """Search over windows, and keep the worse of both for every clip."""
    if not context.iterative or type(context.attack.ball) not in (Linf, L2):
        return None
    a = context.attack
    search = Square(a.ball, _steady(a.objective), queries=_QUERIES, **a.settings)
    return with_harm(context, context.run(search))


def _steady(objective: Objective) -> Objective:
    """What to search by: losses of confident classifiers are flat, margins are not."""
    if isinstance(objective, CrossEntropy):
        return Margin()
    return ScaleFreeHinge() if isinstance(objective, OutputLoss) else objective


@check(
    18,
    "hard_label",
    "share of clips that only a search by decisions breaks",
    share_judge(
        "only",
        "of the clips reach the aim by decisions alone, and not by the attack",
        good=0.01,
        bad=0.1,
    ),
    "attack",
    "full",
)
def hard_label(context: CheckContext) -> dict[str, Tensor] | None:
    """Search along rays, seeing only whether the aim is reached."""
    if not context.iterative:
        return None
    a = context.attack
    rays = RaySearch(a.ball, a.objective, **a.settings)
    return {"only": context.run(rays).success & ~context.got.success}
