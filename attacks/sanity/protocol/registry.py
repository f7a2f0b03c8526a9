"""The list of checks, and how one is added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from steadyear.attacks.sanity.protocol.context import CheckContext
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.verdict import Finding, graded

Level = Literal["free", "full"]
Scope = Literal["model", "attack", "cell", "clips", "given"]
"""On what a check is measured.

``model``: the first clips, once for everything that an attack may read of the model. ``attack``: the
first clips, once per attack, at its middle budget. ``cell``: the first clips, at every budget.
``clips``: all clips, at every budget, from what the attack returned. ``given``: somewhere else.
"""
Measure = Callable[[CheckContext], "dict[str, Tensor] | None"]
"""Numbers by name, each of shape (clips,); ``None`` where the check has no meaning."""
Judge = Callable[[list[Sample]], Finding]


@dataclass(frozen=True)
class Check:
    """A sanity check.

    Attributes:
        number: Its number in the list.
        name: Its name; some numbers have several checks.
        measures: What its number is.
        scope: On what it is measured.
        level: ``full`` for checks that cost attacks of their own.
        measure: Takes the numbers.
        judge: Concludes from the numbers of all clips.
        needs: What is missing when there are no numbers.
    """

    number: int
    name: str
    measures: str
    scope: Scope
    level: Level
    measure: Measure
    judge: Judge
    needs: str


CHECKS: dict[str, Check] = {}


def check(
    number: int,
    name: str,
    measures: str,
    judge: Judge,
    scope: Scope,
    level: Level = "free",
    needs: str = "no attack that it applies to",
) -> Callable[[Measure], Measure]:
    """Enter a measurement into the list.

    Args:
        number: Number of the check.
        name: Name of the check.
        measures: What its number is.
        judge: Concludes from the numbers.
        scope: On what it is measured.
        level: Whether it costs attacks of its own.
        needs: What is missing when there are no numbers.

    Raises:
        ValueError: If the name is taken.
    """

    def enter(measure: Measure) -> Measure:
        if name in CHECKS:
            raise ValueError(f"There is a check {name} already; choose another name.")
        CHECKS[name] = Check(number, name, measures, scope, level, measure, judge, needs)
        return measure

    return enter


def share_judge(name: str, says: str, good: float, bad: float) -> Judge:
    """A judge of a share of the clips, by the attack and budget where it is largest.

    Args:
        name: Name of the number whose mean is the share.
        says: What it is the share of.
        good: Largest share that passes.
        bad: Smallest share that fails.
    """

    def judge(samples: list[Sample]) -> Finding:
        worst = max(samples, key=lambda s: s.mean(name))
        share = worst.mean(name)
        return Finding(graded(share, good, bad), share, says, worst.where)

    return judge


def nothing(context: CheckContext) -> None:
    """A check whose numbers come from somewhere else measures nothing here."""
