"""Which attacks have a worst case together, and what it is called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from steadyear.attacks import Attack, MinimalNorm
from steadyear.attacks.ensembles.comparable import comparable


@dataclass(frozen=True)
class WorstCase:
    """Attacks at one budget, of which the worst result of every clip counts.

    Attributes:
        name: ``worst``; with the names of the attacks, ``worst(fgsm+pgd)``, where others at this budget
            choose from other perturbations.
        budget: Their budget.
        attacks: Names of the attacks.
    """

    name: str
    budget: float
    attacks: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name and budget, by which its scores are found."""
        return f"{self.name}@{self.budget:g}"

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of these attacks at this budget."""
        return frame[(frame["budget"] == self.budget) & frame["attack"].isin(self.attacks)]


def worst_cases(frame: pd.DataFrame, attacks: Mapping[str, Attack]) -> list[WorstCase]:
    """The worst cases of an evaluation, by budget.

    Equal budgets in different balls, domains or bounds are not comparable: there every group of
    attacks that choose from the same perturbations has a worst case of its own.
    """
    found: list[WorstCase] = []
    for budget in sorted(set(frame["budget"])):
        met = set(frame.loc[frame["budget"] == budget, "attack"])
        groups = comparable({n: a for n, a in attacks.items() if n in met and _counts(a, budget)})
        if len(groups) == 1:
            found.append(WorstCase("worst", budget, tuple(groups[0])))
            continue
        # The worst of a single attack among others is what stands in its own line.
        several = [group for group in groups if len(group) > 1]
        found += [WorstCase(f"worst({'+'.join(g)})", budget, tuple(g)) for g in several]
    return found


def _counts(attack: Attack, budget: float) -> bool:
    # Damage just beyond an aim is no worst case.
    return math.isfinite(budget) or not isinstance(attack, MinimalNorm)
