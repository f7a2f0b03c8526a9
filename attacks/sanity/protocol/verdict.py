"""What a sanity check says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Status(StrEnum):
    """Outcome of a check."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What a check concludes from its measurements.

    Attributes:
        status: The outcome.
        value: The number that it rests on.
        says: One sentence that explains the number.
        where: Attack and budget that the number comes from; empty for the model itself.
    """

    status: Status
    value: float
    says: str
    where: str = ""


@dataclass(frozen=True)
class Verdict:
    """Outcome of one check.

    Attributes:
        number: Number of the check in the list of ``docs/attacks.md``.
        name: Name of the check; some numbers have several.
        measures: What the number is.
        finding: The conclusion.
    """

    number: int
    name: str
    measures: str
    finding: Finding

    @property
    def status(self) -> Status:
        """The outcome."""
        return self.finding.status

    def as_json(self) -> dict[str, Any]:
        """Plain values; a number that is not finite becomes ``null``."""
        value = self.finding.value
        return {
            "number": self.number,
            "name": self.name,
            "status": str(self.status),
            "value": value if math.isfinite(value) else None,
            "where": self.finding.where,
            "measures": self.measures,
            "says": self.finding.says,
        }


@dataclass(frozen=True)
class Skipped:
    """A check that could not be made.

    Attributes:
        number: Number of the check.
        name: Name of the check.
        why: What it would have needed.
    """

    number: int
    name: str
    why: str


def graded(value: float, good: float, bad: float) -> Status:
    """Grade a number that should be small.

    Args:
        value: The number; what is not a number fails.
        good: Largest value that passes.
        bad: Smallest value that fails.
    """
    if value <= good:
        return Status.PASS
    return Status.WARN if value < bad else Status.FAIL
