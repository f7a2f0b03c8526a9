"""Do attacks that need no gradient find more? Checks 16 and 18."""

from __future__ import annotations

from torch import Tensor

from attacks.balls import L2, Linf
from attacks.class_objectives import CrossEntropy, Margin
from attacks.multilabel_objectives import OutputLoss
from attacks.objectives import Objective
from attacks.ranking_objectives import ScaleFreeHinge
from attacks.sanity.case import Case
from attacks.sanity.effort_checks import gain_judge, with_harm
from attacks.sanity.evidence import Sample
from attacks.sanity.ray_search import RaySearch
from attacks.sanity.registry import check
from attacks.sanity.verdict import Finding, graded
from attacks.square import Square

_QUERIES = 300
_FLIPS = 128


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
def black_box(case: Case) -> dict[str, Tensor] | None:
    """Search over windows, and keep the worse of both for every clip."""
    if not case.iterative or type(case.attack.ball) not in (Linf, L2):
        return None
    a = case.attack
    search = Square(
        a.ball, _steady(a.objective), _QUERIES, view=a.view, bounds=a.bounds, seed=a.seed
    )
    return with_harm(case, case.run(search))


def _steady(objective: Objective) -> Objective:
    """What to search by: losses of confident classifiers are flat, margins are not."""
    if isinstance(objective, CrossEntropy):
        return Margin()
    return ScaleFreeHinge() if isinstance(objective, OutputLoss) else objective


def _judge_hard(samples: list[Sample]) -> Finding:
    worst = max(samples, key=lambda s: s.mean("only"))
    share = worst.mean("only")
    says = "of the clips reach the aim by decisions alone, and not by the attack"
    return Finding(graded(share, 0.01, 0.1), share, says, worst.where)


@check(
    18,
    "hard_label",
    "share of clips that only a search by decisions breaks",
    _judge_hard,
    "attack",
    "full",
)
def hard_label(case: Case) -> dict[str, Tensor] | None:
    """Search along rays, seeing only whether the aim is reached."""
    if not case.iterative:
        return None
    a = case.attack
    rays = RaySearch(a.ball, a.objective, _FLIPS, a.view, a.bounds, a.seed)
    return {"only": case.run(rays).success & ~case.got.success}
