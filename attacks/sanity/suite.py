"""Making the checks beside an evaluation, or on their own."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.result import AttackResult
from steadyear.attacks.core.views import Model
from steadyear.attacks.sanity import checks  # noqa: F401  registers the checks
from steadyear.attacks.sanity.protocol.context import CheckContext, outcome_of
from steadyear.attacks.sanity.protocol.evidence import Record, record
from steadyear.attacks.sanity.protocol.registry import CHECKS, Level, Scope
from steadyear.attacks.sanity.protocol.watch import watched
from steadyear.attacks.sanity.report import SanityReport, judged

CLIPS = {"free": 8, "full": 64}
"""Number of clips that checks with experiments of their own look at, per process."""
_FREE_CLIPS = 4  # of them, those that are attacked again: more would cost as much as a small test

_FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


class Sanity:
    """Collects the measurements of an evaluation, batch by batch.

    Args:
        attacks: The attacks of the evaluation by name, with any budget.
        budgets: The budgets they are run at.
        level: ``free`` takes what the evaluation does anyway and small experiments on the first
            clips; ``full`` runs attacks of its own.
        clips: Number of clips for the experiments; ``None`` takes 8, or 64 for ``full``.
        others: Other models by name, whose adversaries are tried on this one.
        twin: An undefended model of the same architecture.

    Raises:
        ValueError: If the level is unknown.
    """

    def __init__(
        self,
        attacks: Mapping[str, Attack],
        budgets: Iterable[float],
        level: Level = "free",
        clips: int | None = None,
        others: Mapping[str, Model] | None = None,
        twin: Model | None = None,
    ) -> None:
        if level not in get_args(Level):
            raise ValueError(f"The sanity checks are one of {get_args(Level)}, not {level!r}.")
        self.attacks = attacks
        positive = sorted(b for b in budgets if b > 0)
        self.middle = statistics.median_low(positive) if positive else 0.0
        self.level: Level = level
        self.clips = CLIPS[level] if clips is None else clips
        self.others = dict(others or {})
        self.twin = twin
        self.records: list[Record] = []
        self._left = 0

    def begin(self, model: Model, x: Tensor, target: Tensor | None, index: Tensor) -> None:
        """Look at the model, before the first attack on a batch.

        Args:
            model: The model under attack.
            x: Clean input, shape (batch, ...).
            target: What objectives are measured against.
            index: Stable numbers of the clips, shape (batch,).
        """
        self._left = min(self.clips, len(x))
        self.clips -= self._left
        if not self._left:
            return
        seen = set()
        for name, attack in self.attacks.items():
            reads = (type(attack.objective), attack.view)
            if reads not in seen:
                seen.add(reads)
                context = CheckContext(name, attack.at(self.middle), model, x, target, index)
                self._measure("model", context.first(self._left))

    def watch(self, attack: Attack) -> tuple[Attack, list[Tensor]]:
        """The attack to run in the place of ``attack``, and the path that it will leave."""
        return watched(attack)

    def observe(
        self,
        name: str,
        attack: Attack,
        path: Sequence[Tensor],
        result: AttackResult,
        model: Model,
        x: Tensor,
        target: Tensor | None,
        index: Tensor,
    ) -> None:
        """Look at what an attack did to a batch.

        Args:
            name: Name of the attack.
            attack: The attack at its budget.
            path: What it left behind.
            result: What it found.
            model: The model under attack.
            x: Clean input, shape (batch, ...).
            target: What the objective was measured against.
            index: Stable numbers of the clips, shape (batch,).
        """
        # Restarts see every clip several times at once; subsets of the clips tell nothing of the rest.
        sizes = {len(values) for values in path}
        whole = len(sizes) == 1 and max(sizes) % len(x) == 0
        seen = tuple(v.reshape(-1, len(x)).amax(0) for v in path) if whole else ()
        got = outcome_of(result, attack)
        context = CheckContext(
            name, attack, model, x, target, index, got, seen, self.others, self.twin
        )
        self._measure("clips", context)
        if self._left:
            few = context.first(
                self._left if self.level == "full" else min(self._left, _FREE_CLIPS)
            )
            self._measure("cell", few)
            if attack.ball.eps in (torch.inf, self.middle):
                self._measure("attack", few)

    def report(self, records: Sequence[Record] | None = None) -> SanityReport:
        """Conclude.

        Args:
            records: The measurements of all processes; ``None`` takes those made here.
        """
        return judged(self.records if records is None else records, self.level)

    def _measure(self, scope: Scope, context: CheckContext) -> None:
        for check in CHECKS.values():
            if check.scope != scope or (check.level == "full" and self.level != "full"):
                continue
            cuda = [context.x.device] if context.x.device.type == "cuda" else []
            try:
                # A model with noise of its own must find its random numbers where they were.
                with torch.random.fork_rng(cuda):
                    values = check.measure(context)
            except _FAILURES as error:
                self.records.append({"check": check.name, "error": _brief(error)})
                continue
            if values is not None:
                self.records.append(
                    record(check.name, context.name, context.budget, context.index, values)
                )


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"


def sanity_report(
    model: Model,
    x: Tensor,
    target: Tensor | None,
    attacks: Mapping[str, Attack],
    budgets: Sequence[float],
    level: Literal["free", "full"] = "full",
    *,
    index: Tensor | None = None,
    clips: int | None = None,
    others: Mapping[str, Model] | None = None,
    twin: Model | None = None,
) -> SanityReport:
    """Attack a batch at several budgets and check how far the result can be trusted.

    Args:
        model: Any callable from (batch, ...) to a tensor or an output with a prediction.
        x: Clean input, shape (batch, ...).
        target: What objectives are measured against; ``None`` takes the model's own prediction.
        attacks: Attacks by name; their budgets are replaced.
        budgets: Budgets of the attacks.
        level: ``free`` or ``full``.
        index: Stable numbers of the clips, shape (batch,); ``None`` counts them.
        clips: Number of clips for experiments; ``None`` takes 8, or 64 for ``full``.
        others: Other models by name, whose adversaries are tried on this one.
        twin: An undefended model of the same architecture.

    Returns:
        All verdicts.
    """
    index = torch.arange(len(x)) if index is None else index
    sanity = Sanity(attacks, budgets, level, clips, others, twin)
    sanity.begin(model, x, target, index)
    if any(r["check"] == "graph" and min(r["values"]["reached"]) < 1 for r in _done(sanity)):
        return sanity.report()  # there is no gradient to attack with
    for name, attack in attacks.items():
        for budget in sorted(budgets):
            cell = attack.at(budget)
            seen, path = sanity.watch(cell)
            result = seen(model, x, target, index=index)
            sanity.observe(name, cell, path, result, model, x, target, index)
    return sanity.report()


def _done(sanity: Sanity) -> list[Record]:
    return [r for r in sanity.records if "error" not in r]
