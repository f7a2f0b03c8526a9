"""WorstOf: several attacks on the same clips, and the worst result of each clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.ensembles.comparable import same_settings
from steadyear.attacks.ensembles.worst_case import WorstCase
from steadyear.attacks.objectives.base import Objective
from steadyear.foundation.random_streams import RandomStreams


class WorstOf(Attack):
    """A simple ensemble: runs attacks one after the other and keeps each clip's worst result.

    Worst means success first, then the value of the judge, by its own aim for all attacks. No attack
    at all competes, too, so a result is never better for the model than the clean clip. PGD with
    ``SquaredError`` and PGD with ``AbsoluteError``, judged by ``AbsoluteError``, raise MAE more than
    either. A clip costs what it costs under all attacks together, and one forward pass for each.

    Ball, view, bounds and precision are those of the attacks, which share them; their seeds are not
    used.

    Args:
        attacks: The attacks, at least one.
        judge: Objective that says which result is the worst, and what success is; ``None`` stands for
            that of the first attack.
        seed: First part of the key of every random number.

    Raises:
        ValueError: If there is no attack, or they differ in ball, view, bounds or precision, or the
            judge measures against something that an attack does not know.
    """

    def __init__(
        self, attacks: Sequence[Attack], judge: Objective | None = None, seed: int = 0
    ) -> None:
        if not attacks:
            raise ValueError("WorstOf needs at least one attack.")
        first = attacks[0]
        _check_alike(attacks)
        super().__init__(first.ball, judge or first.objective, **first.settings | {"seed": seed})
        for attack in attacks:
            _check_reference(self.objective, attack.objective)
        self.attacks = list(attacks)

    def at(self, eps: float) -> Self:
        """The same attacks with another budget."""
        other = super().at(eps)
        other.attacks = [attack.at(eps) for attack in self.attacks]
        return other

    @property
    def copies(self) -> int:
        """Those of the attack with the largest batch: they run one after the other."""
        return max(attack.copies for attack in self.attacks)

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Run every attack, and keep each clip's worst perturbation."""
        everyone = torch.arange(len(query.x), device=query.x.device)
        worst = WorstCase(self.objective, query.x, query.clean_prediction, query.target)
        for number, attack in enumerate(self.attacks):
            part = _part(query, attack, self.objective)
            if number == 0:
                part.start = query.start
            found = query.project(attack.solve(part, rng.part(number, everyone)).detach())
            worst.take(found, query.predict(found), everyone)
        return worst.perturbation


def _part(whole: Query, attack: Attack, judge: Objective) -> Query:
    target = whole.target
    if judge.uses_raw_target:
        target = attack.objective.reference(whole.clean_prediction, target).detach()
    attack.objective.check(whole.clean_prediction, target)
    if attack.starts_at_clean() and attack.objective.stationary_at(whole.clean_prediction, target):
        raise ValueError(
            f"{attack!r} starts at the clean clip, where its gradient against the model's own "
            "prediction is zero: give a target, or use PGD with random_start."
        )
    return whole.at(attack.objective, target)


def _check_reference(judge: Objective, objective: Objective) -> None:
    same = type(judge).reference is type(objective).reference
    if not judge.uses_raw_target and not (same and judge.against_clean == objective.against_clean):
        raise ValueError(
            f"The judge {type(judge).__name__} does not measure against the target, which "
            f"{type(objective).__name__} needs: choose a judge that does, or attacks like it."
        )


def _check_alike(attacks: Sequence[Attack]) -> None:
    first = attacks[0]
    for other in attacks[1:]:
        alike = {
            "ball": same_settings(first.ball, other.ball),
            "view": same_settings(first.view, other.view),
            "bounds": same_settings(first.bounds, other.bounds),
            "precision": first.precision == other.precision,
        }
        different = [name for name, same in alike.items() if not same]
        if different:
            raise ValueError(
                f"The attacks of WorstOf share ball, budget, view, bounds and precision, but {first!r} "
                f"and {other!r} differ in their {' and '.join(different)}."
            )
