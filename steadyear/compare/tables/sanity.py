"""What the sanity checks of every run said, and what follows for its robust scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from steadyear.compare.load.find import CURE
from steadyear.compare.load.groups import Group
from steadyear.compare.load.runs import Run
from steadyear.compare.render.pages import Table
from steadyear.compare.render.text import MISSING
from steadyear.compare.statistics.summary import Summary

FILES: Final = ("sanity.json", "sanity-fit.json")
UPPER_BOUND: Final = "upper bound only"
TITLE: Final = "Can the robust scores be trusted?"
_STATUSES: Final = ("PASS", "WARN", "FAIL")


@dataclass(frozen=True)
class Verdicts:
    """The sanity checks of one run.

    Attributes:
        level: Which checks were made, ``free`` or ``full``.
        checks: Number, name, status and sentence of each, as in ``sanity.json``.
    """

    level: str
    checks: tuple[dict[str, Any], ...]

    def names(self, status: str) -> list[str]:
        """Numbers and names of the checks with this status."""
        return [f"{c['number']} {c['name']}" for c in self.checks if c["status"] == status]


def read_sanity(folder: Path) -> Verdicts | None:
    """Read the verdicts on a run, of its evaluation and of its training.

    Args:
        folder: Run folder.

    Returns:
        The verdicts; ``None`` where the evaluation made no checks.

    Raises:
        ValueError: If a file is damaged.
    """
    if not (folder / FILES[0]).is_file():
        return None
    checks: list[dict[str, Any]] = []
    level = ""
    for path in (folder / name for name in FILES if (folder / name).is_file()):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            level = level or str(content["level"])
            checks += [
                {key: one[key] for key in ("number", "name", "status", "says")}
                for one in content["checks"]
            ]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(f"{path} cannot be read ({error!r}); {CURE}.") from error
    return Verdicts(level, tuple(sorted(checks, key=lambda one: int(one["number"]))))


def upper_bounds(groups: Sequence[Group]) -> list[str]:
    """One line for every system of which a run failed a check.

    Args:
        groups: The systems.
    """
    lines = []
    for each in groups:
        failed: dict[str, list[int]] = {}
        for run in each.runs:
            verdicts = read_sanity(run.folder)
            for name in verdicts.names("FAIL") if verdicts else []:
                failed.setdefault(name, []).append(run.seed)
        if failed:
            found = "; ".join(
                f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in failed.items()
            )
            lines.append(
                f"{each.label}: the robust scores are an {UPPER_BOUND}, for sanity checks failed: "
                f"{found}."
            )
    return lines


def with_labels(table: Table, summary: Summary) -> Table:
    """Put beside each system of a table whether its robust scores are an upper bound only.

    Args:
        table: A table with one row per system, in the order of the comparison.
        summary: The comparison.

    Returns:
        The table with one more column, or as it was where no run was checked.
    """
    labels = [_label([read_sanity(run.folder) for run in s.group.runs]) for s in summary.systems]
    if all(label == MISSING for label in labels):
        return table
    rows = [[*row, label] for row, label in zip(table.rows, labels, strict=True)]
    return replace(table, header=[*table.header, "sanity"], rows=rows)


def _label(verdicts: Sequence[Verdicts | None]) -> str:
    known = [each for each in verdicts if each is not None]
    if any(each.names("FAIL") for each in known):
        return UPPER_BOUND
    if len(known) < len(verdicts) or not known:
        return MISSING
    return "warnings" if any(each.names("WARN") for each in known) else "passed"


def sanity_tables(summary: Summary) -> list[Table]:
    """Verdicts of every run that was checked.

    Args:
        summary: The comparison.

    Returns:
        One table, or none.
    """
    runs = [(s.label, run) for s in summary.systems for run in s.group.runs]
    rows = [row for label, run in runs if (row := _row(label, run)) is not None]
    if not rows:
        return []
    header = ["system", "seed", "checks", *_STATUSES, "failed", "warned", "robust score"]
    caption = (
        "Automatic checks of model, attacks and figures; numbers and sentences stand in sanity.json "
        f"of each run. After any FAIL the robust score is an {UPPER_BOUND}: a better attack would "
        "probably find more."
    )
    return [Table(TITLE, caption, header, rows, keys=2)]


def _row(label: str, run: Run) -> list[str] | None:
    verdicts = read_sanity(run.folder)
    if verdicts is None:
        return None
    found = {status: verdicts.names(status) for status in _STATUSES}
    return [
        label,
        str(run.seed),
        verdicts.level,
        *(str(len(names)) for names in found.values()),
        ", ".join(found["FAIL"]) or MISSING,
        ", ".join(found["WARN"]) or MISSING,
        UPPER_BOUND if found["FAIL"] else "no objection",
    ]
