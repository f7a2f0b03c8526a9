"""What the results of all clips say: checks 2, 4, 6, 9, 13 and 20."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from steadyear.attacks.objectives.classes import ClassObjective
from steadyear.attacks.objectives.multilabel import MultiLabelObjective
from steadyear.attacks.objectives.regression import RegressionObjective
from steadyear.attacks.sanity.protocol.context import CheckContext, slack
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import check, share_judge
from steadyear.attacks.sanity.protocol.verdict import Finding, Status, graded

_HALF_PRECISION, _FOLDED = 2e-2, 1e-3
_OF_ONE = 5e-7  # some roundings of 1: a dissimilarity is 1 minus a cosine, however small it is


def _judge_budget(samples: list[Sample]) -> Finding:
    worst = max(samples, key=lambda s: s.largest("excess"))
    excess = worst.largest("excess")
    says = "is the largest size of a perturbation as a share of its budget"
    if excess > 1 + 1e-6:
        says += "; the projection of the attack or of its ball does not hold"
    return Finding(graded(excess, 1 + 1e-6, 1 + 1e-6), excess, says, worst.where)


@check(
    2,
    "budget",
    "size of the returned perturbations in budgets",
    _judge_budget,
    "clips",
    needs="no attack that has a budget",
)
def budget(context: CheckContext) -> dict[str, Tensor] | None:
    """Measure again, in float64, what was returned against the clean input of the batch."""
    if not math.isfinite(context.budget):
        return None
    got, eps = context.got, context.budget
    at_input = context.attack.view.at_input
    clean = context.x.double() if at_input else (got.adversarial - got.perturbation).double()
    moved = (got.adversarial.double() - clean).flatten(1)
    length = moved.norm(dim=1)
    known = {"linf": moved.abs().amax(1), "l2": length, "l1": moved.abs().sum(1)}
    known["snr"] = torch.where(length > 0, length / clean.flatten(1).norm(dim=1), 0.0)
    size = known.get(context.attack.ball.norm)
    if size is None:
        size = context.attack.ball.size(moved.reshape(clean.shape), clean)
    ratio = size / eps if eps > 0 else torch.where(size > 0, torch.inf, 0.0)
    sound = got.adversarial.flatten(1).isfinite().all(1)
    if context.attack.bounds is not None:
        low, high = (got.adversarial.new_tensor(v) for v in context.attack.bounds)
        sound &= ((got.adversarial >= low) & (got.adversarial <= high)).flatten(1).all(1)
    return {"excess": torch.where(sound & ratio.isfinite(), ratio, torch.inf)}


def _judge_clean(samples: list[Sample]) -> Finding:
    gap, where = 0.0, ""
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(tuple(sorted(sample.values)), []).append(sample)
    for alike in groups.values():
        first = {int(i): n for n, i in enumerate(alike[0].index)}
        for other in alike[1:]:
            both = [(first[int(i)], n) for n, i in enumerate(other.index) if int(i) in first]
            ours, theirs = ([pair[k] for pair in both] for k in (0, 1))
            for name in other.values:
                a, b = alike[0][name][ours], other[name][theirs]
                found = float(((a - b).abs() / a.abs().max().clamp_min(1e-12)).max()) if both else 0
                gap, where = max((gap, where), (found, other.where))
    says = "is the largest relative difference between clean outputs that attacks started from"
    return Finding(graded(gap, 1e-4, 1e-3), gap, says, where)


@check(4, "clean_score", "difference of clean outputs between attacks", _judge_clean, "clips")
def clean_score(context: CheckContext) -> dict[str, Tensor]:
    """Keep two sums of each clip's clean output; the same clip must give the same ones."""
    clean = context.got.clean.double().flatten(1)
    weights = torch.linspace(1, 2, clean.shape[1], dtype=torch.float64, device=clean.device)
    # The names tell apart what attacks read, which is nothing to compare.
    read = f"{context.attack.view.perturb_at}/{context.attack.view.read_at}/{context.attack.view.field}"
    return {f"sum of {read}": clean.sum(1), f"weighted {read}": (clean * weights).sum(1)}


def _judge_type(samples: list[Sample]) -> Finding:
    classes = [s for s in samples if "probability" in s.values]
    if classes and min(s.mean("probability") for s in classes) == 1:
        says = "of the outputs lie in [0, 1]: give the attack logits, not probabilities"
        return Finding(Status.WARN, 1.0, says, classes[0].where)
    real = [s for s in samples if "low" in s.values]
    if not real:
        return Finding(Status.PASS, 0.0, "of the outputs look like probabilities")
    low, high = (f([g(s) for s in real]) for f, g in ((min, _lowest), (max, _highest)))
    shares = [
        (float(((s["smallest"] < low) | (s["greatest"] > high)).double().mean()), s.where)
        for s in real
    ]
    share, where = max(shares)
    says = f"of the clips have attacked outputs beyond the labels, {low:g} to {high:g}"
    return Finding(Status.WARN if share > 0.5 else Status.PASS, share, says, where)


def _lowest(sample: Sample) -> float:
    return float(sample["low"].min())


def _highest(sample: Sample) -> float:
    return float(sample["high"].max())


@check(6, "output_type", "outputs of an unexpected kind", _judge_type, "clips")
def output_type(context: CheckContext) -> dict[str, Tensor] | None:
    """See whether logits are probabilities, and real outputs within the labels."""
    prediction = context.got.prediction.flatten(1)
    if isinstance(context.objective, ClassObjective | MultiLabelObjective):
        clean = context.got.clean.flatten(1)
        return {"probability": ((clean >= 0) & (clean <= 1)).all(1)}
    real = isinstance(context.objective, RegressionObjective)
    if not real or context.target is None or context.target.shape != context.got.prediction.shape:
        return None
    target = context.target.flatten(1)
    return {
        "low": target.amin(1),
        "high": target.amax(1),
        "smallest": prediction.amin(1),
        "greatest": prediction.amax(1),
    }


def _judge_rises(samples: list[Sample]) -> Finding:
    worst = min(samples, key=lambda s: s.mean("rises"))
    share = worst.mean("rises")
    single = worst.mean("iterative") == 0
    status = Status.PASS if share >= 0.95 else Status.WARN if single else Status.FAIL
    says = "of the clips have an objective at least as large after the attack as before"
    return Finding(status, share, says, worst.where)


@check(9, "loss_rises", "share of clips whose objective rises", _judge_rises, "clips")
def loss_rises(context: CheckContext) -> dict[str, Tensor] | None:
    """Compare the objective before and after."""
    if not context.aimed:
        return None
    clean = context.got.clean_objective
    rises = context.got.objective >= clean - slack(clean)
    return {"rises": rises, "iterative": torch.full_like(clean, float(context.iterative))}


def _judge_converged(samples: list[Sample]) -> Finding:
    def late(sample: Sample) -> float:
        total = sample.mean("total")
        return sample.mean("late") / total if total > 0 else 0.0

    worst = max(samples, key=late)
    share = late(worst)
    says = "of the rise of the objective came in the last fifth of the steps"
    if share > 0.05:
        says += "; more steps would increase the error"
    return Finding(graded(share, 0.05, 0.15), share, says, worst.where)


@check(
    9,
    "converged",
    "share of the rise in the last fifth of the steps",
    _judge_converged,
    "clips",
    needs="no attack of at least five gradient steps whose path could be seen",
)
def converged(context: CheckContext) -> dict[str, Tensor] | None:
    """Look at the path of the objective that the solver saw."""
    if not context.aimed or len(context.path) < 5:
        return None
    best = torch.stack([*context.path, context.got.objective]).double().cummax(0).values
    late = best[-1] - best[math.ceil(0.8 * (len(best) - 1))]
    return {"late": late, "total": best[-1] - context.got.clean_objective.double()}


def _judge_monotone(samples: list[Sample]) -> Finding:
    falls: list[tuple[float, float, str, bool]] = []
    for attack in dict.fromkeys(s.attack for s in samples):
        curve = sorted((s for s in samples if s.attack == attack), key=lambda s: s.budget)
        for lower, upper in pairwise(curve):
            rise = max(lower.mean("rise"), upper.mean("rise"), 1e-12)
            fall = (lower.mean("rise") - upper.mean("rise")) / rise
            single = upper.mean("iterative") == 0
            falls.append((max(fall, 0.0), _violations(lower, upper), upper.where, single))
    if not falls:
        return Finding(Status.PASS, 0.0, "there is one budget only, so nothing to compare")
    share, clips, where, single = max(falls)
    status = graded(share, 0.0 if clips <= 0.05 else -1.0, 0.05)
    status = Status.WARN if single and status is Status.FAIL else status
    says = f"of the rise is lost at a larger budget; {clips:.0%} of the clips had smaller errors"
    return Finding(status, share, says, where)


def _violations(lower: Sample, upper: Sample) -> float:
    if not torch.equal(lower.index, upper.index):
        return 0.0
    less = upper["rise"] < lower["rise"] - slack(lower["rise"])
    return float(less.double().mean())


@check(13, "monotone", "share of the rise lost at a larger budget", _judge_monotone, "clips")
def monotone(context: CheckContext) -> dict[str, Tensor] | None:
    """Keep how far the objective rose."""
    if not context.aimed:
        return None
    rise = context.got.objective.double() - context.got.clean_objective.double()
    return {"rise": rise, "iterative": torch.full_like(rise, float(context.iterative))}


@check(
    20,
    "silent_success",
    "share of clips with a worse point on the path",
    share_judge(
        "silent",
        "of the clips had a worse point on the attack's path than the one returned",
        good=0.0,
        bad=0.01,
    ),
    "clips",
    needs="no iterative attack whose path could be seen",
)
def silent_success(context: CheckContext) -> dict[str, Tensor] | None:
    """Compare the best value on the path with the value returned."""
    if not context.aimed or len(context.path) < 2:
        return None
    best = torch.stack(context.path).amax(0)
    rounding = _HALF_PRECISION if context.attack.precision == "bf16" else _FOLDED
    scale = torch.maximum(best.abs(), context.got.clean_objective.abs())
    return {"silent": best > context.got.objective + rounding * scale + _OF_ONE}
