"""The comparison as numbers: what tables, figures, page and `summary.json` are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steadyear.compare.load.cells import AttackKey, Cell, damaging, in_order
from steadyear.compare.load.groups import (
    Group,
    different_z_units,
    missing_cells,
    notes,
    rounded_targets,
    z_units,
)
from steadyear.compare.scores.tasks import TaskReport
from steadyear.compare.statistics.pairs import Comparison, compare_pairs
from steadyear.compare.statistics.readings import read_pairs
from steadyear.compare.statistics.spread import (
    Scores,
    Spread,
    attacked_scores,
    clean_scores,
    pool,
)


@dataclass(frozen=True)
class SystemSummary:
    """Numbers of one system.

    Attributes:
        group: Its runs.
        clean: Scores without attack.
        attacked: Scores per attack and budget.
        fit_seconds: Training time in seconds, of the seeds that recorded it.
    """

    group: Group
    clean: Scores[Spread]
    attacked: dict[Cell, Scores[Spread]]
    fit_seconds: Spread

    @property
    def label(self) -> str:
        """Name in tables and figures."""
        return self.group.label


@dataclass(frozen=True)
class Summary:
    """A comparison.

    Attributes:
        systems: The systems, sorted by label.
        cells: Every attack and budget that at least one run has, in order.
        headline: The strongest attack at its largest budget, never one that minimises the norm
            where there is another.
        warnings: What a reader must know before comparing.
        readings: One sentence per pair of systems.
        comparisons: Tests of every pair of systems under the headline attack.
    """

    systems: tuple[SystemSummary, ...]
    cells: tuple[Cell, ...]
    headline: Cell
    warnings: tuple[str, ...]
    readings: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def task(self) -> TaskReport:
        """What all systems do."""
        return self.systems[0].group.runs[0].task

    @property
    def decibels(self) -> float | None:
        """What one z-unit is in dB, where it is known and the same for all runs."""
        found = z_units([each.group for each in self.systems])
        return next(iter(found)) if len(found) == 1 else None

    @property
    def attacks(self) -> tuple[AttackKey, ...]:
        """Every attack, as configured."""
        return tuple(dict.fromkeys(cell.attack for cell in self.cells))

    def budgets(self, attack: AttackKey) -> tuple[float, ...]:
        """Budgets of one attack.

        Args:
            attack: The attack.

        Returns:
            Its budgets, increasing.
        """
        return tuple(cell.budget for cell in self.cells if cell.attack == attack)


def summarize(groups: Sequence[Group], warnings: Sequence[str] = ()) -> Summary:
    """Compute every number of a comparison.

    Args:
        groups: The systems.
        warnings: Lines to put before those found here.

    Returns:
        The comparison.
    """
    systems = tuple(_summarize_system(each) for each in groups)
    cells = tuple(in_order(cell for each in groups for cell in each.cells))
    headline = strongest(systems, cells)
    found = [*warnings, *notes(groups), *rounded_targets(groups), *missing_cells(groups)]
    found += [*different_z_units(groups, cells), *_undefined(systems)]
    scores = {each.label: (each.clean, each.attacked.get(headline)) for each in systems}
    return Summary(
        systems,
        cells,
        headline,
        tuple(found),
        tuple(read_pairs(systems[0].group.runs[0].task, headline, scores)),
        compare_pairs(groups, headline),
    )


def strongest(systems: Sequence[SystemSummary], cells: Sequence[Cell]) -> Cell:
    """Find the headline: the attack with the largest error, on average, at its largest budget.

    Attacks that more systems met go first: the headline compares them. A system that did not meet it
    is left out of the mean. Of attacks that leave nothing the one with most gradient queries is
    taken. Attacks that minimise the norm do not take part where there are others.

    Args:
        systems: The systems.
        cells: All cells, in order.

    Returns:
        The attack at its largest budget.
    """
    wanted = damaging(cell.attack for cell in cells)
    largest = {cell.attack: cell for cell in cells if cell.attack in wanted}

    key = systems[0].group.runs[0].task.strength

    def strength(cell: Cell) -> tuple[int, float, float]:
        met = [each.attacked[cell].metrics for each in systems if cell in each.attacked]
        mean, queries = (
            math.fsum(metrics[name].mean for metrics in met) / len(met)
            for name in (key, "gradient_queries")
        )
        # An undefined error could not be shown, so it is never the headline if another exists.
        return len(met), mean if math.isfinite(mean) else -math.inf, queries

    return max(largest.values(), key=strength)


def _summarize_system(group: Group) -> SystemSummary:
    clean = {run.seed: clean_scores(run) for run in group.runs}
    attacked = {
        cell: pool(
            {
                run.seed: attacked_scores(run, run.attacked[cell], clean[run.seed])
                for run in group.runs
                if cell in run.attacked
            }
        )
        for cell in group.cells
    }
    times = {run.seed: run.fit_seconds for run in group.runs}
    return SystemSummary(
        group,
        pool(clean),
        attacked,
        Spread({seed: value for seed, value in times.items() if value is not None}),
    )


def _undefined(systems: Sequence[SystemSummary]) -> list[str]:
    lines = []
    for system in systems:
        conditions = {"without attack": system.clean}
        conditions |= {f"under {cell.label}": each for cell, each in system.attacked.items()}
        for condition, scores in conditions.items():
            bad = [key for key, each in scores.of_targets.items() if math.isnan(each.mean)]
            if bad:
                task = system.group.runs[0].task
                lines.append(f"{system.label} {condition}: {task.undefined.format(', '.join(bad))}")
    return lines
