"""Tables of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from steadyear.compare.render.style import look
from steadyear.compare.render.text import (
    MISSING,
    grid,
    overview,
    overview_caption,
    show,
    spread_caption,
)
from steadyear.compare.statistics.summary import Summary, SystemSummary

MOST_NAMES: Final = 20


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        title: Heading.
        caption: What it shows, with units.
        header: Names of the columns.
        rows: Cells.
        keys: Number of leading columns that name the row.
        colours: Colour of each row's system; empty where rows are no systems.
    """

    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    keys: int = 1
    colours: tuple[str, ...] = ()


def overview_table(summary: Summary) -> Table:
    """One row per system."""
    header, rows = overview(summary)
    colours = tuple(look(position).color for position in range(len(rows)))
    return Table("Overview", overview_caption(summary), header, rows, colours=colours)


def grid_table(summary: Summary) -> Table:
    """The attacked score, one row per attack and budget."""
    header, rows = grid(summary)
    caption = (
        f"{summary.task.score.name} under each attack. Compare inside a row: budgets of different "
        f"attacks, domains and norms are not alike. {spread_caption(summary)}"
    )
    return Table("Every attack and budget", caption, header, rows, keys=2)


def target_table(summary: Summary) -> Table:
    """The score of every target, clean and under the headline attack."""
    rows = []
    for name in summary.systems[0].clean.of_targets:
        row = [name]
        for system in summary.systems:
            attacked = system.attacked.get(summary.headline)
            row.append(show(system.clean.of_targets[name], 2))
            row.append(show(attacked.of_targets[name] if attacked else None, 2))
        rows.append(row)
    task = summary.task
    one, several = task.targets
    header = [one, *(head for each in summary.systems for head in _pair(each))]
    caption = f"{task.target.name}; attacked = under {summary.headline.label}."
    missing = _missing(summary)
    if missing:
        caption += f" Left out, because no clip has their label: {missing}."
    return Table(several.capitalize(), caption, header, rows)


def _missing(summary: Summary) -> str:
    known = summary.systems[0].clean.of_targets
    absent = [n for n in summary.systems[0].group.runs[0].names.targets if n not in known]
    return ", ".join(absent) if len(absent) <= MOST_NAMES else f"{len(absent)} of them"


def _pair(system: SystemSummary) -> list[str]:
    return [f"{system.label} clean", f"{system.label} attacked"]


def concept_table(summary: Summary) -> Table:
    """Pearson's r, error and change of every concept of every system that has concepts."""
    rows = []
    for system in summary.systems:
        attacked = system.attacked.get(summary.headline)
        for name, clean in system.clean.concept_pearson.items():
            after = attacked.concept_pearson.get(name) if attacked else None
            error = attacked.concept_mae.get(name) if attacked else None
            change = attacked.concept_change.get(name) if attacked else None
            before = system.clean.concept_mae[name]
            numbers = [show(clean, 2), show(after, 2), show(before), show(error), show(change)]
            rows.append([system.label, name, *numbers])
    header = [
        "system",
        "concept",
        "clean r",
        "attacked r",
        "clean MAE",
        "attacked MAE",
        "mean |change|",
    ]
    caption = (
        f"r over clips, mean absolute error and change; attacked = under {summary.headline.label}."
    )
    return Table("Concepts", caption, header, rows, keys=2)


def strength_table(summary: Summary) -> Table:
    """What every attack really spent, and how often it succeeded."""
    rows = []
    for system in summary.systems:
        for cell, scores in system.attacked.items():
            metrics = scores.metrics
            numbers = [
                show(metrics["achieved_linf"], 4),
                show(metrics["achieved_l2"], 3),
                show(metrics["snr_db"], 1),
                show(metrics["success_rate"], 2),
                show(metrics["gradient_queries"], 0).removesuffix("±0"),
            ]
            rows.append([system.label, cell.attack.label, cell.amount, *numbers])
    header = ["system", "attack", "budget", "L∞", "L2", "SNR [dB]", "success", "gradient queries"]
    caption = (
        "Means over clips: achieved norms in the unit of the budget, signal-to-noise ratio where "
        "audio exists, share of clips where the attack reached its goal, gradient queries per clip."
    )
    return Table("What the attacks spent", caption, header, rows, keys=3)


def run_table(summary: Summary) -> Table:
    """The run folders that were compared."""
    rows = [
        [system.label, run.title, str(run.seed), *(_fact(run.facts.get(key)) for key in RUN_FACTS)]
        for system in summary.systems
        for run in system.group.runs
    ]
    header = ["system", "run", "seed", *RUN_FACTS]
    return Table("Runs", "What was compared.", header, rows, keys=2)


RUN_FACTS = ("parameters", "epochs", "fit_seconds", "device", "created")


def version_table(summary: Summary) -> Table:
    """Versions of the software behind the runs."""
    found: dict[str, set[str]] = {}
    for system in summary.systems:
        for run in system.group.runs:
            for name, version in (run.facts.get("versions") or {}).items():
                found.setdefault(str(name), set()).add(str(version))
    rows = [[name, ", ".join(sorted(versions))] for name, versions in sorted(found.items())]
    return Table("Versions", "Software that the runs recorded.", ["package", "version"], rows)


def _fact(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
