"""Checks whose numbers come from an evaluation or from training: 19 and 24."""

from __future__ import annotations

from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import check, nothing
from steadyear.attacks.sanity.protocol.verdict import Finding, Status, graded

DROP = 0.2
RATIO = 1.5


def _judge_worst(samples: list[Sample]) -> Finding:
    worst = max(samples, key=lambda s: s.largest("gap"))
    gap = worst.largest("gap")
    says = "is the largest difference of the reported worst case from the worst of each clip"
    return Finding(graded(gap, 1e-6, 1e-6), gap, says, worst.where)


check(
    19,
    "worst_case",
    "difference of the reported worst case from the per-clip worst",
    _judge_worst,
    "given",
    needs="no two attacks at one budget whose perturbations can be compared",
)(nothing)


def _judge_overfitting(samples: list[Sample]) -> Finding:
    last = max(samples, key=lambda s: s.budget)
    single, iterative = last.mean("single"), last.mean("iterative")
    classes = bool(last.mean("classes"))
    ratios = [s.mean("iterative") / max(s.mean("single"), 1e-12) for s in samples]
    lead = iterative - single if classes else iterative / max(single, 1e-12)
    # A ratio of real-valued errors may be large from the start, without any collapse.
    collapsed = lead > DROP if classes else lead > RATIO and lead > RATIO * min(ratios)
    unit = "more errors" if classes else "times the error"
    says = f"{unit} under ten steps than under one, on a training batch of epoch {last.budget:g}"
    return Finding(Status.FAIL if collapsed else Status.PASS, lead, says)


check(
    24,
    "catastrophic_overfitting",
    "error under ten steps against that under one step, while training",
    _judge_overfitting,
    "given",
    needs="no adversarial training with the callback `OverfittingCheck`",
)(nothing)
