"""Group runs by system, and refuse what cannot be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from steadyear.compare.load.cells import Cell, in_order
from steadyear.compare.load.runs import Run

ROUNDING: Final = 1e-3


@dataclass(frozen=True)
class Group:
    """The seeds of one system.

    Attributes:
        label: Name of the group in tables and figures.
        runs: Its runs, sorted by seed.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(run.seed for run in self.runs)

    @property
    def cells(self) -> list[Cell]:
        """Every cell that at least one run has, in order."""
        return in_order(cell for run in self.runs for cell in run.attacked)


def group(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Group runs by system over seeds.

    A group is labelled by its system. Where one system name occurs in several experiments, the
    groups of that name are labelled by experiment instead.

    Args:
        runs: Runs of any number of systems.

    Returns:
        The groups, sorted by label.

    Raises:
        ValueError: If two runs have the same system and seed, or runs cannot be compared.
    """
    members: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        members[run.system, run.experiment].append(run)
    labels = _labels(list(members))
    groups = [
        Group(labels[key], tuple(sorted(found, key=lambda run: run.seed)))
        for key, found in members.items()
    ]
    for each in groups:
        _check_seeds(each)
    for run in runs[1:]:
        _check_same_clips(runs[0], run)
    return tuple(sorted(groups, key=lambda each: each.label))


def _labels(keys: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    systems = [system for system, _ in keys]
    labels = {key: key[0] if systems.count(key[0]) == 1 else key[1] for key in keys}
    chosen = list(labels.values())
    return {
        (system, experiment): label if chosen.count(label) == 1 else f"{experiment} ({system})"
        for (system, experiment), label in labels.items()
    }


def _check_seeds(members: Group) -> None:
    for before, after in zip(members.runs, members.runs[1:], strict=False):
        if before.seed == after.seed:
            raise ValueError(
                f"{before.folder} and {after.folder} are both seed {after.seed} of system "
                f"{after.system!r}; name only one of them."
            )
        if before.names.concepts != after.names.concepts:
            raise ValueError(
                f"{before.folder} and {after.folder} are one system with different concepts."
            )


def _check_same_clips(first: Run, other: Run) -> None:
    pair = f"{first.folder} and {other.folder}"
    if first.task is not other.task:
        raise ValueError(
            f"{pair} are of different tasks, {first.task.name} and {other.task.name}; compare each "
            "task by itself."
        )
    if first.names.targets != other.names.targets:
        raise ValueError(f"{pair} predict different targets; compare runs of one task.")
    if first.clips != other.clips:
        shared = len(set(first.clips) & set(other.clips))
        raise ValueError(
            f"{pair} were tested on different clips ({len(first.clips)} and {len(other.clips)}, "
            f"{shared} shared); test both on the same split."
        )
    # Published ratings circulate rounded to two and to four decimals.
    slack = ROUNDING * float(np.ptp(np.nan_to_num(first.target)))
    if not np.allclose(first.target, other.target, rtol=1e-5, atol=slack, equal_nan=True):
        raise ValueError(f"{pair} have different true targets; test both on the same data.")


def notes(groups: Sequence[Group]) -> list[str]:
    """What the runs themselves say that a reader must know.

    Args:
        groups: The systems.

    Returns:
        One line per ``notes`` in ``run.json``, with the systems that say it.
    """
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    for each in groups:
        for run in each.runs:
            for note in [*(run.facts.get("notes") or []), *_stale(run)]:
                owners[str(note)][each.label] = None
    return [f"{', '.join(labels)}: {note}" for note, labels in owners.items()]


def _stale(run: Run) -> list[str]:
    tested, trained = run.facts.get("tested_after_epochs"), run.facts.get("epochs")
    if tested is None or tested == trained:
        return []
    cure = "run `steadyear test` again"
    return [f"{run.title} was tested after {tested} epochs, but trained for {trained}: {cure}."]


def rounded_targets(groups: Sequence[Group]) -> list[str]:
    """One line where the true targets of the runs are equal up to rounding only.

    Args:
        groups: The systems.

    Returns:
        The line; empty where all targets are equal to single precision.
    """
    first, *others = [run for each in groups for run in each.runs]
    largest = max(
        (float(np.nanmax(np.abs(first.target - run.target))) for run in others), default=0
    )
    if largest <= 1e-6 + 1e-5 * float(np.nanmax(np.abs(first.target))):
        return []
    return [f"True targets differ by up to {largest:.1g} between runs: some were rounded."]


def z_units(groups: Sequence[Group]) -> dict[float, list[str]]:
    """What one z-unit is in dB.

    Args:
        groups: The systems.

    Returns:
        Systems by size in dB, to four digits; empty where a run does not say.
    """
    found: dict[float, dict[str, None]] = defaultdict(dict)
    for each in groups:
        for run in each.runs:
            if run.names.z_unit_db is None:
                return {}
            found[float(f"{run.names.z_unit_db:.4g}")][each.label] = None
    return {size: list(labels) for size, labels in found.items()}


def different_z_units(groups: Sequence[Group], cells: Sequence[Cell]) -> list[str]:
    """One line where a budget in z-units is not the same in dB for all systems.

    Args:
        groups: The systems.
        cells: What they were attacked with.

    Returns:
        The line; empty where sizes are equal or not known, or no budget is in z-units.
    """
    found = z_units(groups)
    if len(found) < 2 or all(cell.attack.domain != "spectrogram" for cell in cells):
        return []
    sizes = "; ".join(f"{size:g} dB: {', '.join(labels)}" for size, labels in found.items())
    return [f"One z-unit is not the same for all ({sizes}): nor is a budget in z-units."]


def missing_cells(groups: Sequence[Group]) -> list[str]:
    """One line for each system whose seeds or attack grid are not those of the others.

    Args:
        groups: The systems.

    Returns:
        The lines; empty where every run has every cell and every system the same seeds.
    """
    every = in_order(cell for each in groups for cell in each.cells)
    lines = []
    for each in groups:
        holes = [cell for cell in every if any(cell not in run.attacked for run in each.runs)]
        if holes:
            cells = ", ".join(cell.label for cell in holes)
            lines.append(f"{each.label} was not attacked, or not in every seed, with: {cells}.")
    if len({each.seeds for each in groups}) > 1:
        lines.append(f"The systems were trained with different seeds ({_seed_sets(groups)}).")
    return lines


def _seed_sets(groups: Sequence[Group]) -> str:
    owners: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for each in groups:
        owners[each.seeds].append(each.label)
    return "; ".join(
        f"{', '.join(map(str, seeds))}: {', '.join(labels)}" for seeds, labels in owners.items()
    )
