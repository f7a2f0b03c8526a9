"""The comparison as numbers: what tables, figures, page and `summary.json` are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steadyear.compare.cells import Attack, Cell, in_order
from steadyear.compare.groups import Group, missing_cells, notes, rounded_targets
from steadyear.compare.pairs import Comparison, compare_pairs
from steadyear.compare.readings import read_pairs
from steadyear.compare.statistics import (
    Scores,
    Spread,
    attacked_scores,
    clean_scores,
    pool,
)


@dataclass(frozen=True)
class System:
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
        headline: The strongest attack at its largest budget.
        warnings: What a reader must know before comparing.
        readings: One sentence per pair of systems.
        comparisons: Tests of every pair of systems under the headline attack.
    """

    systems: tuple[System, ...]
    cells: tuple[Cell, ...]
    headline: Cell
    warnings: tuple[str, ...]
    readings: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """Every attack, as configured."""
        return tuple(dict.fromkeys(cell.attack for cell in self.cells))

    def budgets(self, attack: Attack) -> tuple[float, ...]:
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
    found += _undefined(systems)
    scores = {each.label: (each.clean, each.attacked.get(headline)) for each in systems}
    return Summary(
        systems,
        cells,
        headline,
        tuple(found),
        tuple(read_pairs(headline, scores)),
        compare_pairs(groups, headline),
    )


def strongest(systems: Sequence[System], cells: Sequence[Cell]) -> Cell:
    """Find the headline: the attack with the largest mean attacked MAE at its largest budget.

    A system that did not meet it is left out of the mean.

    Args:
        systems: The systems.
        cells: All cells, in order.

    Returns:
        The attack at its largest budget.
    """
    largest = {cell.attack: cell for cell in cells}

    def strength(cell: Cell) -> float:
        met = [each.attacked[cell].metrics["mae"] for each in systems if cell in each.attacked]
        mean = math.fsum(error.mean for error in met) / len(met)
        # An undefined error could not be shown, so it is never the headline if another exists.
        return mean if math.isfinite(mean) else -math.inf

    return max(largest.values(), key=strength)


def _summarize_system(group: Group) -> System:
    attacked = {
        cell: pool(
            {
                run.seed: attacked_scores(run, run.attacked[cell])
                for run in group.runs
                if cell in run.attacked
            }
        )
        for cell in group.cells
    }
    clean = pool({run.seed: clean_scores(run) for run in group.runs})
    times = {run.seed: run.fit_seconds for run in group.runs}
    return System(
        group,
        clean,
        attacked,
        Spread({seed: value for seed, value in times.items() if value is not None}),
    )


def _undefined(systems: Sequence[System]) -> list[str]:
    lines = []
    for system in systems:
        conditions = {"without attack": system.clean}
        conditions |= {f"under {cell.label}": each for cell, each in system.attacked.items()}
        for condition, scores in conditions.items():
            bad = [key for key, each in scores.target_pearson.items() if math.isnan(each.mean)]
            if bad:
                names = ", ".join(bad)
                lines.append(
                    f"{system.label} {condition}: Pearson's r is undefined for {names}, because "
                    "a prediction or a target is constant or not finite."
                )
    return lines
