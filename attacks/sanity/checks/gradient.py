"""Do gradients exist, and do they tell the truth? Checks 7 and 8."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from steadyear.attacks.sanity.protocol.context import BoundModel, CheckContext, loudness
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import check
from steadyear.attacks.sanity.protocol.verdict import Finding, Status, graded
from steadyear.attacks.signal.sizes import linf_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams

_STEPS = ("Round", "Floor", "Ceil", "Trunc", "Sign", "Heaviside")
_FEW = 2
_DIRECTIONS = 8
# In shares of the clip's loudness.
_FINE = (1e-2, 3e-3, 3e-4)
_COARSE = 3e-2
_AWAY = 2 * _COARSE
# What a model may raise that cannot be copied, or computes in single precision inside.
_FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
_STREAM = 2_000_003
_AWAY_STREAM = 2_100_003


def _judge_graph(samples: list[Sample]) -> Finding:
    missing = [s for s in samples if s.mean("reached") < 1]
    steps = int(max(sample.largest("steps") for sample in samples))
    if missing:
        says = "the gradient does not reach the attacked tensor: look for detach, no_grad or numpy"
        return Finding(Status.FAIL, 0.0, says, missing[0].where)
    if steps:
        says = "the gradient passes functions whose derivative is zero, such as round or sign"
        return Finding(Status.WARN, steps, says)
    return Finding(Status.PASS, steps, "the gradient reaches the attacked tensor without a break")


@check(8, "graph", "breaks, or functions of zero derivative, on the way", _judge_graph, "model")
def graph(context: CheckContext) -> dict[str, Tensor]:
    """Walk from the objective back to the attacked tensor."""
    with context.bound_model() as bound:
        values, gradient = bound.gradient(bound.nearby(context.index))
    steps = _step_functions(values.grad_fn)
    clips = torch.ones(len(context.x))
    return {"reached": clips * (gradient is not None), "steps": clips * steps}


def _step_functions(node: Node | None) -> int:
    waiting, seen, count = [node], set(), 0
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        count += node.name().startswith(_STEPS)
        waiting += [parent for parent, _ in node.next_functions]
    return count


def _judge_zero(samples: list[Sample]) -> Finding:
    worst = max(samples, key=lambda s: s.mean("dead"))
    dead, elements = worst.mean("dead"), max(s.mean("elements") for s in samples)
    if dead < 0.01 and elements > 0.5:
        says = "of the clips' values have a gradient of exactly zero"
        return Finding(Status.WARN, elements, says, worst.where)
    says = "of the clips have a gradient that is zero everywhere, or not finite"
    return Finding(Status.PASS if dead < 0.01 else Status.FAIL, dead, says, worst.where)


@check(7, "zero_gradients", "share of clips without a usable gradient", _judge_zero, "model")
def zero_gradients(context: CheckContext) -> dict[str, Tensor] | None:
    """Take the gradient at two points close to each clip."""
    with context.bound_model() as bound:
        points = [bound.nearby(context.index + shift) for shift in (0, 1)]
        gradients = [bound.gradient(point)[1] for point in points]
    if any(gradient is None for gradient in gradients):
        return None  # the check of the graph says so
    stacked = torch.stack([g for g in gradients if g is not None])
    size = torch.stack([linf_norm(gradient) for gradient in stacked])
    dead = ~(size.isfinite() & (size > 0))
    elements = (stacked == 0).flatten(2).double().mean(2).mean(0)
    return {"dead": dead.any(0), "elements": elements}


def _judge_differences(samples: list[Sample]) -> Finding:
    def middle(sample: Sample, name: str = "error") -> float:
        return float(sample[name][sample["asked"] > 0].median())

    worst = max(samples, key=middle)
    error = middle(worst)
    shattered = max(samples, key=lambda s: middle(s, "coarse"))
    coarse = middle(shattered, "coarse")
    if error <= 0.05 and coarse > 0.5:
        says = (
            "of the slope over 3 % of the clip's loudness is not in the gradient: it is shattered"
        )
        return Finding(graded(coarse, 0.5, 0.75), coarse, says, shattered.where)
    says = "gradients disagree with finite differences by this share, median over clips"
    if error > 0.05:
        says += "; a part of the model is rounded, detached or random"
    return Finding(graded(error, 0.05, 0.25), error, says, worst.where)


@check(
    7,
    "finite_differences",
    "error of gradients along random directions",
    _judge_differences,
    "model",
)
def finite_differences(context: CheckContext) -> dict[str, Tensor] | None:
    """Compare slopes along random directions with those that the gradient predicts."""
    clips = len(context.x)
    few = context.first(_FEW)
    with few.bound_model() as bound:
        point = _telling_point(bound, few.index)
        gradient = bound.gradient(point)[1]
        if gradient is None or not bool((linf_norm(gradient) > 0).any()):
            return None  # other checks say so
    with _exact(few).bound_model() as bound:
        point, gradient = point.to(bound.start), gradient.to(bound.start)
        errors = [_error(bound, point, gradient, few.index, s) for s in (*_FINE, _COARSE)]
    # Long strides meet kinks, short ones meet rounding: the best one counts.
    columns = {
        "error": torch.stack(errors).amin(0),
        "coarse": errors[-1],
        "asked": torch.ones(len(errors[0])),
    }
    rest = clips - len(errors[0])
    return {name: torch.cat([v, v.new_zeros(rest)]) for name, v in columns.items()}


def _exact(context: CheckContext) -> CheckContext:
    """The same in double precision, or as it is where that is not the same function.

    Slopes of an objective that hardly changes, as that of a defended embedding, drown in the rounding
    of its values long before its gradient does.
    """
    target = context.target
    if target is not None and target.is_floating_point():
        target = target.double()
    try:
        if not isinstance(context.model, nn.Module):
            return context
        model = copy.deepcopy(context.model).double()
        exact = replace(context, model=model, x=context.x.double(), target=target)
        with context.bound_model() as ours, exact.bound_model() as bound:
            torch.testing.assert_close(bound.clean, ours.clean.double(), rtol=1e-3, atol=1e-3)
    except (*_FAILURES, AssertionError):
        return context
    return exact


def _telling_point(bound: BoundModel, index: Tensor) -> Tensor:
    """Where slopes are compared: near the clean clip, but not where they vanish by construction.

    An objective that is measured against the clean prediction itself is a valley around the clean
    clip. Within a small budget, at the bottom of it, differences drown in rounding, and strides
    longer than the budget cross to the other side: both would be blamed on the model.
    """
    point = bound.nearby(index)
    if not bound.attack.objective.stationary_at(bound.clean, bound.target):
        return point
    away = _AWAY * loudness(bound.start)
    way = RandomStreams(bound.attack.seed, index, stream=_AWAY_STREAM).uniform(point).sign()
    further = bound.within(bound.start + per_clip(away, point) * way)
    return torch.where(per_clip(linf_norm(point - bound.start) < away, point), further, point)


def _error(
    bound: BoundModel, point: Tensor, gradient: Tensor, index: Tensor, stride: float
) -> Tensor:
    step = per_clip(stride * loudness(bound.start), point)
    predicted, seen = [], []
    for number in range(_DIRECTIONS):
        way = (
            RandomStreams(bound.attack.seed, index, stream=_STREAM + number).uniform(point).sign()
            * step
        )
        ahead, behind = bound.value(point + way).double(), bound.value(point - way).double()
        seen.append((ahead - behind) / 2)
        predicted.append((gradient.double() * way.double()).flatten(1).sum(1))
    a, b = torch.stack(predicted), torch.stack(seen)
    if bound.attack.objective.couples_clips:
        # Each value changes with every clip, and gradients are those of the sum of equal values.
        a = a.mean(1, keepdim=True).expand_as(b)
    size = torch.maximum(a.norm(dim=0), b.norm(dim=0))
    return torch.where(size > 0, (a - b).norm(dim=0) / size, 0.0).cpu()
