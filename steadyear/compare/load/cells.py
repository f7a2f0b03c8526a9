"""Names and units of the cells of an attack grid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from steadyear.attacks.balls import concrete_balls

_BALLS: Final = {ball.norm: ball for ball in concrete_balls()}
NORM_LABELS: Final = {norm: ball.label for norm, ball in _BALLS.items()}
_ABSOLUTE: Final = {
    "spectrogram": "z-units",
    "waveform": "full-scale units",
    "semantic": "of the box",
}
UNBOUNDED: Final = "unbounded"
MINIMAL: Final = "minimal norm"


class AttackKey(NamedTuple):
    """One configured attack; budgets are comparable inside it and nowhere else.

    Attributes:
        name: Name in the experiment's configuration, for example ``pgd``.
        domain: Where the perturbation lives, ``spectrogram`` or ``waveform``.
        norm: Norm of the ball, a key of ``NORM_LABELS``.
        minimal_norm: Whether it minimises the norm instead of spending a budget.
    """

    name: str
    domain: str
    norm: str
    minimal_norm: bool = False

    @property
    def unit(self) -> str:
        """Unit of the budget."""
        return _BALLS[self.norm].relative_unit or _ABSOLUTE.get(self.domain, self.domain)

    @property
    def space(self) -> str:
        """Domain and norm in words."""
        return f"{self.domain} {NORM_LABELS[self.norm]}"

    @property
    def label(self) -> str:
        """Name, domain and norm in words."""
        return f"{self.name} ({self.space})"


class Cell(NamedTuple):
    """One attack at one budget.

    Attributes:
        attack: The attack.
        budget: Largest allowed norm of the perturbation, in ``attack.unit``; infinity where
            nothing bounds it.
    """

    attack: AttackKey
    budget: float

    @property
    def bounded(self) -> bool:
        """Whether there is a largest norm."""
        return math.isfinite(self.budget)

    @property
    def amount(self) -> str:
        """Budget and unit in words."""
        if self.bounded:
            return f"{self.budget:g} {self.attack.unit}"
        return MINIMAL if self.attack.minimal_norm else UNBOUNDED

    @property
    def budget_text(self) -> str:
        """Attack and budget in words, without domain and norm."""
        return f"{self.attack.name}{' at' if self.bounded else ','} {self.amount}"

    @property
    def label(self) -> str:
        """Attack, budget, domain and norm in words."""
        return f"{self.budget_text} ({self.attack.space})"


def budget_label(budget: float) -> str:
    """A budget without its unit.

    Args:
        budget: The budget; infinity where nothing bounds the perturbation.

    Returns:
        The text.
    """
    return f"{budget:g}" if math.isfinite(budget) else UNBOUNDED


def in_decibels(attack: AttackKey) -> bool:
    """Whether budgets can be given in dB where the spectrogram is in dB.

    An L2 norm sums over the whole spectrogram: its decibels would be no change of a single value.

    Args:
        attack: The attack.
    """
    return attack.domain == "spectrogram" and attack.norm == "linf"


def damaging(attacks: Iterable[AttackKey]) -> tuple[AttackKey, ...]:
    """Those attacks whose damage says something: it is just beyond the aim where norms are minimal.

    Args:
        attacks: Attacks, in any order and with repeats.

    Returns:
        Each attack that does not minimise the norm; all of them where there is no other.
    """
    unique = tuple(dict.fromkeys(attacks))
    return tuple(each for each in unique if not each.minimal_norm) or unique


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Sort cells: attacks as they first occur, which is how they were configured, then budgets.

    Args:
        cells: Cells, in any order and with repeats.

    Returns:
        Each cell once.
    """
    unique = list(dict.fromkeys(cells))
    attacks = list(dict.fromkeys(cell.attack for cell in unique))
    return sorted(unique, key=lambda cell: (attacks.index(cell.attack), cell.budget))
