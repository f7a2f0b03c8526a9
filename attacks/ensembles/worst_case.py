"""The worst perturbation of each clip, over the members of an ensemble."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams


class Member(NamedTuple):
    """One attack of an ensemble.

    Attributes:
        attack: The attack; only its search is used.
        target: What its objective is measured against, for every clip of the batch.
        everyone: Whether it attacks every clip, or those that resist.
    """

    attack: Attack
    target: Tensor
    everyone: bool = False


class WorstCase:
    """The worst perturbation of each clip.

    Args:
        judge: Objective that says how bad a perturbation is, and what success is.
        x: Clean clips.
        clean: Predictions without attack.
        target: What the judge measures against.
        success_first: Whether success is worse than any value.
    """

    def __init__(
        self,
        judge: Objective,
        x: Tensor,
        clean: Tensor,
        target: Tensor,
        success_first: bool = True,
    ) -> None:
        self.judge, self.clean, self.target = judge, clean, target
        self.success_first = success_first
        self.perturbation = torch.zeros_like(x)
        self.value = judge(clean, target)
        self.success = judge.success(clean, clean, target)
        self.largest = self.value.clone()
        """Largest value that was seen, with success or without."""

    def take(self, perturbation: Tensor, prediction: Tensor, clips: Tensor) -> None:
        """Keep a perturbation of some of the clips where it is worse, given what it leads to."""
        target = self.target[clips]
        value = self.judge(prediction, target)
        success = self.judge.success(prediction, self.clean[clips], target)
        old_value, old_success = self.value[clips], self.success[clips]
        wins = value > old_value
        if self.success_first:
            wins = (success & ~old_success) | ((success == old_success) & wins)
        old = self.perturbation[clips]
        self.perturbation[clips] = torch.where(per_clip(wins, old), perturbation, old)
        self.value[clips] = torch.where(wins, value, old_value)
        self.success[clips] = torch.where(wins, success, old_success)
        self.largest[clips] = torch.maximum(self.largest[clips], value)


def run_member(
    query: Query,
    member: Member,
    clips: Tensor,
    worst: WorstCase,
    rng: RandomStreams,
    start: Tensor | None,
) -> None:
    """Let a member search on some clips, and keep the worst of all that it evaluated.

    Args:
        query: The ensemble's query.
        member: The member.
        clips: Positions of the clips in the batch.
        worst: What the ensemble has found so far; the member's worst goes there.
        rng: Random numbers of the member for these clips.
        start: Perturbations of these clips to begin with, if any.
    """
    some = query.select(clips)
    seen = WorstCase(
        query.objective, some.x, some.clean_prediction, some.target, worst.success_first
    )
    part = some.at(member.attack.objective, member.target[clips], member.attack.threat)
    part.start = start
    member.attack.solve(part.observe(seen.take), rng)
    found = seen.perturbation
    # Gradients may come from a copy that rounds otherwise: the model itself decides.
    worst.take(found, some.predict(found), clips)
    worst.largest[clips] = torch.maximum(worst.largest[clips], seen.largest)
