"""Does the attack find what is known to be there? Checks 17, 21 and 22."""

from __future__ import annotations

import inspect
from typing import ClassVar

import torch
from torch import Tensor

from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.sanity.checks.effort import chance, gain_judge, reached
from steadyear.attacks.sanity.protocol.context import AttackOutcome, BoundModel, CheckContext, harm
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
def planted(context: CheckContext) -> dict[str, Tensor] | None:
    """Plant the strongest of some simple perturbations, and ask the attack to match it."""
    # An ensemble brings objectives of its own.
    aims = inspect.signature(type(context.attack).__init__).parameters
    if not context.iterative or "objective" not in aims:
        return None
    with context.bound_model() as bound:
        target = torch.stack([bound.clean, _plant(bound, context.index)], 1)
    attack = context.with_changes(objective=PlantedShift(), seed=context.attack.seed + 1)
    result = attack(context.model, context.x, target, index=context.index)
    moved = (target[:, 1] - target[:, 0]).flatten(1).abs().amax(1) > 0
    return {"found": result.success | ~moved}


def _plant(bound: BoundModel, index: Tensor) -> Tensor:
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
def transfer(context: CheckContext) -> dict[str, Tensor] | None:
    """Attack other models, and show their adversaries to this one."""
    if not context.aimed or not context.others or not context.attack.view.at_input:
        return None
    worst = context.got.objective.new_full((len(context.x),), -torch.inf).double()
    for model in context.others.values():
        moved = context.run(context.attack, model).adversarial
        with context.bound_model() as bound:
            prediction, target = bound.prediction(moved), bound.target
        damage = harm(context.objective, prediction, context.got.clean, target)
        worst = torch.maximum(worst, damage)
    clean = harm(context.objective, context.got.clean, context.got.clean, target)
    first = harm(context.objective, context.got.prediction, context.got.clean, target)
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
def twin(context: CheckContext) -> dict[str, Tensor] | None:
    """Run the same attack on a model that is known to break."""
    if not context.iterative or context.twin is None:
        return None
    got: AttackOutcome = context.run(context.attack, context.twin)
    return chance(context, got)
