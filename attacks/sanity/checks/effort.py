"""Would more effort, or no limit, change the result? Checks 10, 12, 14 and 23."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadyear.attacks.objectives.classes import ClassObjective
from steadyear.attacks.objectives.multilabel import OutputLoss
from steadyear.attacks.objectives.regression import AbsoluteError, Huber, SquaredError
from steadyear.attacks.sanity.protocol.context import (
    NORMS,
    AttackOutcome,
    CheckContext,
    harm,
    slack,
)
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import Judge, check
from steadyear.attacks.sanity.protocol.verdict import Finding, Status, graded
from steadyear.attacks.signal.sizes import l2_norm, per_clip
from steadyear.foundation.random_streams import torch_generator

_RESTARTS = 5
_ERRORS = (SquaredError, AbsoluteError, Huber, OutputLoss)


def gain(sample: Sample) -> float:
    """What the other attack adds to the damage of the attack, as a share of that damage."""
    before, after = sample.mean("harm"), sample.mean("more")
    done = before - sample.mean("clean")
    added = after - before
    if added <= float(sample["slack"].mean()):
        return 0.0
    return added / done if done > 0 else math.inf


def gain_judge(says: str, cure: str, good: float = 0.05, bad: float = 0.25) -> Judge:
    """A judge of the damage that something adds to an attack.

    Args:
        says: What added it.
        cure: What to do if it is much.
        good: Largest share that passes.
        bad: Smallest share that fails.
    """

    def judge(samples: list[Sample]) -> Finding:
        worst = max(samples, key=gain)
        share = gain(worst)
        end = f"; {cure}" if share > good else ""
        return Finding(
            graded(share, good, bad), share, f"is added to the damage by {says}{end}", worst.where
        )

    return judge


def with_harm(
    context: CheckContext, more: AttackOutcome, keep_worse: bool = True
) -> dict[str, Tensor]:
    """Damage of the attack and of another one on the same clips.

    Args:
        context: The attack.
        more: What the other one found.
        keep_worse: Take the worse of the two for every clip.
    """
    with context.bound_model() as bound:
        target = bound.target
    got = context.got
    first = harm(context.objective, got.prediction, got.clean, target)
    other = harm(context.objective, more.prediction, more.clean, target)
    return {
        "clean": harm(context.objective, got.clean, got.clean, target),
        "harm": first,
        "more": torch.maximum(first, other) if keep_worse else other,
        "slack": slack(first),
    }


@check(
    10,
    "more_steps",
    "damage that twice the steps add",
    gain_judge("twice the number of steps", "raise steps"),
    "attack",
    "full",
)
def more_steps(context: CheckContext) -> dict[str, Tensor] | None:
    """Run the attack with twice the steps."""
    steps = getattr(context.attack, "steps", None)
    if not context.iterative or not isinstance(steps, int):
        return None
    return with_harm(context, context.run(context.with_changes(steps=2 * steps)), keep_worse=False)


@check(
    12,
    "restarts",
    f"damage that the worst of {_RESTARTS} starts adds",
    gain_judge(f"the worst of {_RESTARTS} starts", "raise restarts"),
    "attack",
    "full",
)
def restarts(context: CheckContext) -> dict[str, Tensor] | None:
    """Run the attack with other random numbers and keep the worst."""
    if not context.aimed:
        return None
    columns = with_harm(context, context.got)
    for number in range(1, _RESTARTS):
        other = context.run(context.with_changes(seed=context.attack.seed + number))
        if torch.equal(other.adversarial, context.got.adversarial):
            break  # nothing random in it
        columns["more"] = torch.maximum(columns["more"], with_harm(context, other)["more"])
    return columns


def _judge_chance(samples: list[Sample]) -> Finding:
    worst = min(samples, key=reached)
    share = reached(worst)
    says = "is the damage as a share of what a model without knowledge would show"
    if share < 1:
        says += "; no limit, and yet the attack does not get there: gradients are masked"
    return Finding(Status.PASS if share >= 1 else Status.FAIL, share, says, worst.where)


def reached(sample: Sample) -> float:
    """Damage as a share of that of a model without knowledge."""
    wanted = sample.mean("wanted")
    return sample.mean("harm") / wanted if wanted > 0 else math.inf


def chance(context: CheckContext, got: AttackOutcome) -> dict[str, Tensor]:
    """Damage per clip, and the damage of the best constant prediction.

    Where a constant prediction means nothing, 95 % of the clips must reach the aim.

    Args:
        context: The attack.
        got: What was found.
    """
    objective, target = context.objective, context.target
    if isinstance(objective, ClassObjective):
        share = 1 - 1 / got.clean.shape[1]
    elif target is None or len(target) < 2 or not isinstance(objective, _ERRORS):
        share = 0.95
    else:
        mean = target.to(got.clean.dtype).mean(0, keepdim=True)
        if isinstance(objective, OutputLoss):
            mean = mean.clamp(1e-3, 1 - 1e-3).logit()
        constant = objective(mean.expand_as(got.clean), target)
        return {"harm": got.objective, "wanted": constant}
    return {"harm": got.success, "wanted": torch.full(got.success.shape, share)}


@check(14, "unbounded", "damage without limit, in that of a guess", _judge_chance, "attack", "full")
def unbounded(context: CheckContext) -> dict[str, Tensor] | None:
    """Give the attack the whole domain."""
    if not context.iterative or context.attack.ball.norm not in NORMS:
        return None
    with context.bound_model() as bound:
        start = bound.start
    low, high = context.attack.bounds or (float(start.min()), float(start.max()))
    width = (high - low) or 1.0
    values = start[0].numel()
    eps = width if context.attack.ball.norm == "linf" else width * math.sqrt(values)
    return chance(context, context.run(context.attack.at(eps)))


def _judge_textbook(samples: list[Sample]) -> Finding:
    worst = min(samples, key=lambda s: s.mean("rise") / max(s.mean("textbook"), 1e-12))
    share = worst.mean("rise") / max(worst.mean("textbook"), 1e-12)
    status = graded(1 - share, 1e-2, 0.1)
    says = "is the rise in rises of a gradient attack as in a textbook, with the same gradients"
    return Finding(status, share, says, worst.where)


@check(23, "textbook", "rise, in rises of a textbook attack", _judge_textbook, "attack", "full")
def textbook(context: CheckContext) -> dict[str, Tensor] | None:
    """Ascend with code that shares no line with the attack, its ball or its solver."""
    if not context.iterative or context.attack.ball.norm not in NORMS:
        return None
    steps, eps, flat = (
        int(context.got.queries.max()),
        context.budget,
        context.attack.ball.norm == "linf",
    )
    with context.bound_model() as bound:
        # A start of its own: at the clean clip some objectives are flat.
        generator = torch_generator(context.attack.seed)
        noise = torch.randn(bound.start.shape, generator=generator).to(bound.start)
        moved = eps / 100 * (noise.sign() if flat else noise / per_clip(l2_norm(noise), noise))
        best = bound.value(bound.within(bound.start + moved))
        for _ in range(steps):
            gradient = bound.gradient(bound.within(bound.start + moved))[1]
            if gradient is None:
                return None
            if flat:
                moved = (moved + 2.5 * eps / steps * gradient.sign()).clamp(-eps, eps)
            else:
                length = gradient.flatten(1).norm(dim=1).clamp_min(1e-30)
                moved = moved + 2.5 * eps / steps * gradient / per_clip(length, gradient)
                moved = moved * per_clip((eps / moved.flatten(1).norm(dim=1)).clamp_max(1), moved)
            moved = bound.within(bound.start + moved) - bound.start
            best = torch.maximum(best, bound.value(bound.start + moved))
    clean = context.got.clean_objective.double()
    return {"textbook": best.double() - clean, "rise": context.got.objective.double() - clean}
