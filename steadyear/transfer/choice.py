"""Which attack at which budget, and whether it means the same for all systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from steadyear.attacks import Attack
from steadyear.compare.load.cells import Cell, in_order
from steadyear.compare.load.runs import Run
from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.transfer.restore import CONFIG, RestoredRun

CLOSE: Final = 1e-4


def choose(runs: Sequence[Run], name: str | None, budget: float | None) -> Cell:
    """Choose what every run was attacked with.

    Args:
        runs: All runs.
        name: Configured name of the attack; ``None`` takes, of those that follow a gradient within
            a budget, the one with the largest mean error at its largest budget.
        budget: Budget in the unit of the attack's domain; ``None`` takes the largest that every run
            was attacked with.

    Raises:
        ValueError: If not every run has the attack, or it has no such budget.
    """
    shared = [cell for cell in in_order(runs[0].attacked) if all(cell in r.attacked for r in runs)]
    named = [cell for cell in shared if name in (None, cell.attack.name)]
    if not named:
        raise ValueError(_lacking(runs, name))
    if name is None:
        # Minimal norms end just beyond the aim, so their damage says nothing.
        aimed = [c for c in named if not c.attack.minimal_norm and _follows_gradient(runs, c)]
        named = [cell for cell in aimed if cell.bounded] or aimed or named
    largest = {cell.attack: cell for cell in named}
    cell = max(largest.values(), key=lambda each: _strength(runs, each))
    if budget is None:
        return cell
    if not cell.bounded or not 0 <= budget < math.inf:
        raise ValueError(
            f"{cell.attack.name} is {cell.amount} and takes no --budget {budget:g}; leave it out, "
            "or choose another --attack."
        )
    return cell._replace(budget=budget)


def _follows_gradient(runs: Sequence[Run], cell: Cell) -> bool:
    return all(run.attacked[cell].gradient_queries.any() for run in runs)


def _strength(runs: Sequence[Run], cell: Cell) -> float:
    return float(np.mean([run.attacked[cell].errors.mean() for run in runs]))


def _lacking(runs: Sequence[Run], name: str | None) -> str:
    known = {run.folder: {cell.attack.name for cell in run.attacked} for run in runs}
    lacking = [folder for folder, names in known.items() if name not in names]
    if name is None or not lacking:
        return "The runs share no attack at the same budget: test them with the same attacks."
    has = ", ".join(sorted(known[lacking[0]]))
    return f"{lacking[0]} was not attacked with {name!r}; it has: {has}. Choose one with --attack."


def check_same_attack(systems: Sequence[RestoredRun], cell: Cell) -> None:
    """Refuse an attack that is not the same for all systems, or not on what they share.

    Args:
        systems: All systems.
        cell: The attack.

    Raises:
        ValueError: If its settings differ, or it perturbs what only one network has.
    """
    name, first = cell.attack.name, systems[0]
    place = attack_of(first, cell).view.place
    if place is not None:
        raise ValueError(
            f"{name} perturbs {place!r}, which is not the input that all networks share: "
            "choose an --attack on the input."
        )
    for other in systems[1:]:
        if other.attacks[name] != first.attacks[name]:
            raise ValueError(
                f"{name} is not the same attack in {first.run.folder / CONFIG} and "
                f"{other.run.folder / CONFIG}: test both with the same settings."
            )


def attack_of(system: RestoredRun, cell: Cell) -> Attack:
    """The system's own attack at the budget of the cell.

    Args:
        system: The system.
        cell: Attack and budget.
    """
    return system.evaluation.attacks[cell.attack.name].at(cell.budget)


def check_same_scale(systems: Sequence[RestoredRun], cell: Cell) -> None:
    """Refuse systems for which one perturbation is not the same sound.

    A perturbation in z-units of one scale could be converted to another, but it would no longer
    have the budget that the other system was attacked with.

    Args:
        systems: All systems.
        cell: The attack; one on waveforms needs the same sampling rate only.

    Raises:
        ValueError: If front ends differ, or their mean and standard deviation do.
    """
    found = {each.run.folder: getattr(each.module, "frontend", None) for each in systems}
    fronts = [(folder, part) for folder, part in found.items() if isinstance(part, Frontend)]
    for other in fronts[1:]:
        (here, first), (there, second) = fronts[0], other
        difference = _difference(first, second, cell.attack.domain == "waveform")
        if difference:
            raise ValueError(
                f"{here} and {there} hear the same clip differently ({difference}): examples of "
                "one are not examples for the other. Choose runs with one front end and one scale."
            )


def _difference(first: Frontend, second: Frontend, waveform: bool) -> str:
    if first.sample_rate != second.sample_rate:
        return f"sampling rates of {first.sample_rate} and {second.sample_rate} Hz"
    if waveform:
        return ""
    one, two = ({"class": type(f).__name__, **f.settings} for f in (first, second))
    for key in one | two:
        if one.get(key) != two.get(key):
            return f"{key} is {one.get(key)} and {two.get(key)}"
    (mean, std), (other_mean, other_std) = ((float(f.mean), float(f.std)) for f in (first, second))
    if max(abs(mean - other_mean), abs(std - other_std)) > CLOSE * std:
        return (
            f"a z-unit is {std:.4g} around {mean:.4g} and {other_std:.4g} around {other_mean:.4g}"
        )
    return ""
