"""Small experiments on the first clips: checks 1, 3, 11, 15 and 26."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.balls import NormBall
from steadyear.attacks.black_box.noise import Noise
from steadyear.attacks.gradient.pgd import PGD
from steadyear.attacks.sanity.protocol.context import CheckContext, difference, slack
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import check
from steadyear.attacks.sanity.protocol.verdict import Finding, Status, graded
from steadyear.attacks.signal.sizes import linf_norm

_FEW = 2
_TRIES = 8
_MANY = 0.25


def _judge_identity(samples: list[Sample]) -> Finding:
    worst = max(samples, key=lambda s: max(s.largest("moved"), s.largest("gap")))
    moved, gap = worst.largest("moved"), worst.largest("gap")
    says = "is the largest change of clip or output at a budget of 0"
    status = graded(max(moved, gap), 0.0, 1e-6 if moved == 0 else 0.0)
    return Finding(status, max(moved, gap), says, worst.where.split("@")[0])


@check(1, "identity", "change at a budget of 0", _judge_identity, "attack")
def identity(context: CheckContext) -> dict[str, Tensor] | None:
    """Run the attack without a budget."""
    if not context.bounded or not isinstance(context.attack.ball, NormBall):
        return None
    few = context.first(_FEW)
    got = few.run(context.attack.at(0.0))
    moved, gap = linf_norm(got.perturbation), difference(got.prediction, got.clean)
    rest = moved.new_zeros(len(context.x) - len(moved))
    return {"moved": torch.cat([moved, rest]), "gap": torch.cat([gap, rest.to(gap.dtype)])}


def _judge_artefact(samples: list[Sample]) -> Finding:
    worst = max(samples, key=lambda s: s.largest("gap"))
    wrong = max(samples, key=lambda s: s.mean("wrong"))
    if wrong.mean("wrong") > 0:
        says = "of the clips do not have the success that was reported when asked again"
        return Finding(Status.FAIL, wrong.mean("wrong"), says, wrong.where)
    gap = worst.largest("gap")
    says = "is the largest difference between reported outputs and those of the attacked clips"
    return Finding(graded(gap, 1e-4, 1e-3), gap, says, worst.where)


@check(3, "artefact", "difference when the attacked clips are asked again", _judge_artefact, "cell")
def artefact(context: CheckContext) -> dict[str, Tensor]:
    """Predict again, objective and success included, from the tensor that was returned."""
    got, objective = context.got, context.objective
    with context.bound_model() as bound:
        prediction = bound.prediction(got.adversarial)
        value = objective(prediction, bound.target)
        margin = objective.margin(prediction, bound.clean, bound.target)
    outputs = difference(got.prediction, prediction)
    objectives = difference(got.objective[:, None], value[:, None])
    # On the very edge of success, rounding decides.
    clear = margin.abs() > 1e-4 * prediction.flatten(1).abs().amax(1)
    return {
        "gap": torch.maximum(outputs, objectives),
        "wrong": clear & ((margin > 0) != got.success),
    }


def _judge_precision(samples: list[Sample]) -> Finding:
    if any(sample.largest("half") for sample in samples):
        where = next(sample.where for sample in samples if sample.largest("half"))
        says = "of the scores come from half precision: score in float32"
        return Finding(Status.FAIL, 1.0, says, where)
    worst = max(samples, key=lambda s: s.mean("undone"))
    says = "of the successes that bfloat16 would have claimed were undone by scoring in float32"
    return Finding(Status.PASS, worst.mean("undone"), says, worst.where)


@check(26, "precision", "successes undone by full precision", _judge_precision, "cell")
def precision(context: CheckContext) -> dict[str, Tensor]:
    """Ask in which precision the scores are; of bfloat16 attacks, what full precision undid."""
    half = torch.full((len(context.x),), float(context.got.half))
    undone = torch.zeros(len(context.x))
    if context.attack.precision == "bf16":
        with context.bound_model() as bound, torch.autocast(context.x.device.type, torch.bfloat16):
            prediction = bound.prediction(context.got.adversarial)
            claimed = context.objective.success(prediction, bound.clean, bound.target)
        undone = (claimed & ~context.got.success).double().cpu()
    return {"half": half, "undone": undone}


def _judge_single(samples: list[Sample]) -> Finding:
    def share(sample: Sample) -> float:
        most = max(sample.mean("rise"), sample.mean("single"), 1e-12)
        return (sample.mean("single") - sample.mean("rise")) / most

    worst = max(samples, key=share)
    clips = float((worst["single"] > worst["rise"] + worst["slack"]).double().mean())
    lead = max(share(worst), 0.0)
    status = Status.FAIL if lead > 0.01 else Status.WARN if clips > 0.05 else Status.PASS
    says = f"is the lead of a single step over the attack; the errors of {clips:.0%} of the clips are larger"
    return Finding(status, lead, says, worst.where)


@check(11, "single_step", "lead of a single step, in rises", _judge_single, "cell")
def single_step(context: CheckContext) -> dict[str, Tensor] | None:
    """Take one step of the whole budget from the clean clip."""
    if not context.iterative:
        return None
    attack = context.attack
    # From the clean clip a measure of distance to it has no gradient.
    with context.bound_model() as bound:
        flat = context.objective.stationary_at(bound.clean, bound.target)
    one = PGD(
        attack.ball,
        attack.objective,
        steps=1,
        relative_step=1.0,
        random_start=flat,
        **attack.settings | {"precision": "fp32"},
    )
    return _against(context, context.run(one).objective, "single")


def _judge_noise(samples: list[Sample]) -> Finding:
    def ratio(sample: Sample) -> float:
        rise, noise = sample.mean("rise"), sample.mean("noise")
        return noise / rise if rise > 0 else float(noise > 1e-7)

    def beaten(sample: Sample) -> float:
        return float((sample["noise"] > sample["rise"] + sample["slack"]).double().mean())

    worst = max(samples, key=lambda s: (beaten(s) > _MANY, ratio(s) >= 1, beaten(s), ratio(s)))
    share = beaten(worst)
    lost = share > _MANY or ratio(worst) >= 1
    # One step of the whole budget may well overshoot.
    single = worst.mean("iterative") == 0 and ratio(worst) < 1
    status = Status.WARN if share > 0.05 else Status.PASS
    status = Status.FAIL if lost and not single else status
    says = (
        f"is the rise by the worst of {_TRIES} noises in rises of the attack; noise raises the errors of "
        f"{share:.0%} of the clips more"
    )
    return Finding(status, ratio(worst), says, worst.where)


@check(15, "noise", "rise under noise, in rises under attack", _judge_noise, "cell")
def noise(context: CheckContext) -> dict[str, Tensor] | None:
    """Spend the same budget without an aim."""
    if not context.aimed:
        return None
    a = context.attack
    settings = a.settings | {"seed": a.seed + 1}
    control = Noise(a.ball, a.objective, tries=_TRIES, **settings)
    return _against(context, context.run(control).objective, "noise")


def _against(context: CheckContext, objective: Tensor, name: str) -> dict[str, Tensor]:
    got = context.got
    return {
        name: objective.double() - got.clean_objective.double(),
        "rise": got.objective.double() - got.clean_objective.double(),
        "slack": slack(got.objective),
        "iterative": torch.full_like(got.objective, float(context.iterative)),
    }
