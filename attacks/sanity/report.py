"""All verdicts of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steadyear.attacks.sanity.protocol.evidence import Record, samples
from steadyear.attacks.sanity.protocol.registry import CHECKS, Check, Level
from steadyear.attacks.sanity.protocol.verdict import Finding, Skipped, Status, Verdict

UPPER_BOUND = "upper bound only"
FORMAT = 1


@dataclass(frozen=True)
class SanityReport:
    """How far a robust score can be trusted.

    Attributes:
        level: Which checks were made.
        verdicts: Outcomes, ordered by number.
        skipped: Checks that could not be made, with their reasons.
    """

    level: Level
    verdicts: tuple[Verdict, ...]
    skipped: tuple[Skipped, ...]

    @property
    def label(self) -> str:
        """What to write beside the robust score: ``upper bound only`` after any FAIL, else empty."""
        return UPPER_BOUND if self.of(Status.FAIL) else ""

    def of(self, status: Status) -> tuple[Verdict, ...]:
        """The verdicts of one status."""
        return tuple(v for v in self.verdicts if v.status is status)

    def __getitem__(self, name: str) -> Verdict:
        """The verdict of one check.

        Raises:
            KeyError: If it was not made, with the reason.
        """
        for verdict in self.verdicts:
            if verdict.name == name:
                return verdict
        raise KeyError(next((f"{s.name}: {s.why}" for s in self.skipped if s.name == name), name))

    def as_json(self) -> dict[str, Any]:
        """What ``sanity.json`` holds."""
        return {
            "format": FORMAT,
            "level": self.level,
            "label": self.label,
            "counts": {str(status): len(self.of(status)) for status in Status},
            "checks": [verdict.as_json() for verdict in self.verdicts],
            "skipped": [{"number": s.number, "name": s.name, "why": s.why} for s in self.skipped],
        }

    def __str__(self) -> str:
        """A table, one line per check, and what follows from it."""
        lines = [
            f"{v.status:4}  {v.number:2}  {v.name:18}  {_short(v.finding.value):>9}  "
            f"{v.finding.where + ': ' if v.finding.where else ''}{v.finding.says}"
            for v in self.verdicts
        ]
        if self.skipped:
            lines.append("not made: " + ", ".join(f"{s.number} {s.name}" for s in self.skipped))
        counts = ", ".join(f"{len(self.of(status))} {status}" for status in Status)
        end = f"; the robust score is an {UPPER_BOUND}" if self.label else ""
        return "\n".join([*lines, f"sanity ({self.level}): {counts}{end}"])


def judged(records: Sequence[Record], level: Level) -> SanityReport:
    """Conclude from the measurements of all processes.

    Args:
        records: The measurements.
        level: Which checks were asked for.
    """
    failed = {r["check"]: str(r["error"]) for r in records if "error" in r}
    measured = [r for r in records if "error" not in r]
    verdicts, skipped = [], []
    for check in sorted(CHECKS.values(), key=lambda c: c.number):
        found = samples(measured, check.name)
        if check.name in failed:
            says = f"could not be measured: {failed[check.name]}"
            finding = Finding(Status.WARN, math.nan, says)
            verdicts.append(_verdict(check, finding))
        elif found:
            verdicts.append(_verdict(check, check.judge(found)))
        else:
            why = (
                check.needs if level == "full" or check.level == "free" else "asks for full checks"
            )
            skipped.append(Skipped(check.number, check.name, why))
    return SanityReport(level, tuple(verdicts), tuple(skipped))


def _verdict(check: Check, finding: Finding) -> Verdict:
    return Verdict(check.number, check.name, check.measures, finding)


def _short(value: float) -> str:
    return f"{value:.3g}"
