"""Does the attack find what is known to be there? Checks 17, 21 and 22."""

from __future__ import annotations

import inspect
from typing import ClassVar

import torch
from torch import Tensor

from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.sanity.checks.effort import chance, gain_judge, reached
from steadyear.attacks.sanity.protocol.case import Bound, Case, Found, harm
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import check
from steadyear.attacks.sanity.protocol.verdict import Finding, Status
from steadyear.foundation.random_streams import RandomStreams

_STREAM = 3_000_003
_ENOUGH = 0.95


class PlantedShift(Objective):
    """How far a prediction moved along the way that a planted perturbation moves it; 1 is as far.

    The target holds, for each clip, the clean prediction and the planted one, shape (clips, 2, ...).
    """

    against_clean: ClassVar[bool] = False

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not two predictions."""
        if target.ndim < 2 or target[:, 0].shape != prediction.shape:
            raise ValueError(
                f"PlantedShift needs two predictions {tuple(prediction.shape)} per clip, not "
                f"{tuple(target.shape)}."
            )

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Share of the planted shift."""
        way = (target[:, 1] - target[:, 0]).flatten(1)
        moved = (prediction - target[:, 0]).flatten(1)
        return (moved * way).sum(1) / way.square().sum(1).clamp_min(1e-30)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Share minus what is enough."""
        return self(prediction, target) - _ENOUGH


def _judge_planted(samples: list[Sample]) -> Finding:
    worst = min(samples, key=lambda s: s.mean("found"))
    share = worst.mean("found")
    status = Status.PASS if share >= 0.99 else Status.WARN if share >= 0.9 else Status.FAIL
    says = "of the clips move as far as a perturbation that is known to be in the ball moves them"
    return Finding(status, share, says, worst.where)


@check(21, "planted", "share of planted shifts that are found", _judge_planted, "attack", "full")
def planted(case: Case) -> dict[str, Tensor] | None:
    """Plant the strongest of some simple perturbations, and ask the attack to match it."""
    # An ensemble brings objectives of its own.
    aims = inspect.signature(type(case.attack).__init__).parameters
    if not case.iterative or "objective" not in aims:
        return None
    with case.bound() as bound:
        target = torch.stack([bound.clean, _plant(bound, case.index)], 1)
    attack = case.with_changes(objective=PlantedShift(), seed=case.attack.seed + 1)
    result = attack(case.model, case.x, target, index=case.index)
    moved = (target[:, 1] - target[:, 0]).flatten(1).abs().amax(1) > 0
    return {"found": result.success | ~moved}


def _plant(bound: Bound, index: Tensor) -> Tensor:
    """The most distant of the predictions that simple perturbations of the whole budget cause."""
    ball, start = bound.attack.ball, bound.start
    noise = ball.sample_on_sphere(start, RandomStreams(bound.attack.seed, index, stream=_STREAM))
    shapes = [torch.ones_like(start), -torch.ones_like(start)]
    for dim in range(1, start.ndim):
        shapes += _halves(start, dim)
    ways = [noise, *(ball.direction(shape, start) * ball.eps for shape in shapes)]
    far, best = bound.clean.new_full((len(start),), -1.0), bound.clean
    for way in ways:
        prediction = bound.prediction(bound.within(start + ball.project(way, start)))
        distance = (prediction - bound.clean).flatten(1).norm(dim=1)
        farther = (distance > far).view(-1, *(1 for _ in prediction.shape[1:]))
        best, far = torch.where(farther, prediction, best), torch.maximum(distance, far)
    return best


def _halves(start: Tensor, dim: int) -> list[Tensor]:
    size = start.shape[dim]
    if size < 2:
        return []
    signs = torch.where(torch.arange(size, device=start.device) < size // 2, 1.0, -1.0)
    signs = signs.to(start.dtype).view(-1, *(1 for _ in start.shape[dim + 1 :]))
    return [signs.expand_as(start).contiguous(), -signs.expand_as(start).contiguous()]


@check(
    17,
    "transfer",
    "damage that adversaries of other models add",
    gain_judge("adversaries of other models", "its gradients are masked", 0.01, 0.05),
    "attack",
    "full",
    needs="no other model to take adversaries from (see `steadyear transfer`)",
)
def transfer(case: Case) -> dict[str, Tensor] | None:
    """Attack other models, and show their adversaries to this one."""
    if not case.aimed or not case.others or not case.attack.view.at_input:
        return None
    worst = case.got.objective.new_full((len(case.x),), -torch.inf).double()
    for model in case.others.values():
        moved = case.run(case.attack, model).adversarial
        with case.bound() as bound:
            prediction, target = bound.prediction(moved), bound.target
        damage = harm(case.objective, prediction, case.got.clean, target)
        worst = torch.maximum(worst, damage)
    clean = harm(case.objective, case.got.clean, case.got.clean, target)
    first = harm(case.objective, case.got.prediction, case.got.clean, target)
    columns = {"clean": clean, "harm": first, "more": torch.maximum(first, worst)}
    return columns | {"slack": 1e-4 * first.abs() + 1e-7}


def _judge_twin(samples: list[Sample]) -> Finding:
    worst = min(samples, key=reached)
    share = reached(worst)
    says = "is the damage to the undefended twin as a share of that of a guess"
    return Finding(Status.PASS if share >= 1 else Status.FAIL, share, says, worst.where)


@check(
    22,
    "twin",
    "damage to an undefended twin, in that of a guess",
    _judge_twin,
    "attack",
    "full",
    needs="no undefended model of the same architecture",
)
def twin(case: Case) -> dict[str, Tensor] | None:
    """Run the same attack on a model that is known to break."""
    if not case.iterative or case.twin is None:
        return None
    got: Found = case.run(case.attack, case.twin)
    return chance(case, got)
