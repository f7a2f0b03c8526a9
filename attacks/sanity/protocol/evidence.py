"""What was measured, clip by clip, and its way through several processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Record = dict[str, Any]
"""One measurement on a batch: check, attack, budget, index, and lists of numbers by name."""


@dataclass(frozen=True)
class Sample:
    """All measurements of one check on one attack and budget, each clip once.

    Attributes:
        attack: Name of the attack; empty for the model itself.
        budget: Its budget.
        index: Numbers of the clips, increasing, shape (clips,).
        values: Numbers by name, each of shape (clips,), float64.
    """

    attack: str
    budget: float
    index: Tensor
    values: dict[str, Tensor]

    @property
    def where(self) -> str:
        """Attack and budget in words."""
        return f"{self.attack}@{self.budget:g}" if self.attack else ""

    def __getitem__(self, name: str) -> Tensor:
        """Numbers by name."""
        return self.values[name]

    def mean(self, name: str) -> float:
        """Mean over the clips."""
        return float(self.values[name].mean())

    def largest(self, name: str) -> float:
        """Largest of the clips' numbers; NaN if there is one among them."""
        return float(self.values[name].max())


def record(
    check: str, attack: str, budget: float, index: Tensor, values: dict[str, Tensor]
) -> Record:
    """Turn the measurements on a batch into plain values, which processes can exchange.

    Args:
        check: Name of the check.
        attack: Name of the attack.
        budget: Its budget.
        index: Numbers of the clips, shape (clips,).
        values: Numbers by name, each of shape (clips,).
    """
    return {
        "check": check,
        "attack": attack,
        "budget": budget,
        "index": index.tolist(),
        "values": {n: v.detach().double().reshape(-1).tolist() for n, v in values.items()},
    }


def samples(records: Sequence[Record], check: str) -> list[Sample]:
    """Bring together the measurements of one check; a clip that came twice counts once."""
    groups: dict[tuple[str, float], list[Record]] = {}
    for one in records:
        if one["check"] == check:
            groups.setdefault((one["attack"], one["budget"]), []).append(one)
    return [_merged(attack, budget, group) for (attack, budget), group in groups.items()]


def _merged(attack: str, budget: float, group: Iterable[Record]) -> Sample:
    clips: dict[int, dict[str, float]] = {}
    for one in group:
        for position, index in enumerate(one["index"]):
            numbers = {name: column[position] for name, column in one["values"].items()}
            clips.setdefault(index, numbers)
    order = sorted(clips)
    names = clips[order[0]] if order else {}
    values = {
        name: torch.tensor([clips[i][name] for i in order], dtype=torch.float64) for name in names
    }
    return Sample(attack, budget, torch.tensor(order), values)
