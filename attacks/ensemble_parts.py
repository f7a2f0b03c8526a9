"""What an ensemble is made of: members, their part of the problem, and the worst that was seen."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from attacks.base import Attack
from attacks.objectives import Objective
from attacks.problem import Aim, Probe, Problem
from attacks.sizes import per_clip


class Member(NamedTuple):
    """One attack of an ensemble.

    Attributes:
        attack: The attack; only its search is used.
        target: What its objective is measured against, for every clip of the batch.
    """

    attack: Attack
    target: Tensor


class Wish(Objective):
    """Sum of the logits times what is wished for them: 1 is up, -1 is down, 0 is anything."""

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Nothing to check: the ensemble makes the target."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Weighted sum per clip."""
        return (prediction * target).sum(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """The value itself."""
        return self(prediction, target)


class Worst:
    """The worst perturbation of each clip: success first, then the objective of the task."""

    def __init__(self, judge: Objective, x: Tensor, clean: Tensor, target: Tensor) -> None:
        self.judge, self.clean, self.target = judge, clean, target
        self.perturbation = torch.zeros_like(x)
        self.value = judge(clean, target)
        self.hit = judge.success(clean, clean, target)

    def take(self, perturbation: Tensor, prediction: Tensor, clips: Tensor) -> None:
        """Keep a perturbation of some of the clips where it is worse, given what it leads to."""
        target = self.target[clips]
        value = self.judge(prediction, target)
        hit = self.judge.success(prediction, self.clean[clips], target)
        old_value, old_hit = self.value[clips], self.hit[clips]
        wins = (hit & ~old_hit) | ((hit == old_hit) & (value > old_value))
        old = self.perturbation[clips]
        self.perturbation[clips] = torch.where(per_clip(wins, old), perturbation, old)
        self.value[clips] = torch.where(wins, value, old_value)
        self.hit[clips] = old_hit | hit


class Part(Problem):
    """A member's problem on some of the clips; what it asks about is judged by the ensemble."""

    def __init__(self, whole: Problem, member: Member, clips: Tensor) -> None:
        super().__init__(
            whole.forward,
            whole.x[clips],
            member.target[clips],
            whole.clean[clips],
            member.attack,
            whole.craft,
        )
        self.whole, self.clips = whole, clips
        judge, target = whole.attack.objective, whole.target[clips]
        self.everyone = torch.arange(len(clips), device=clips.device)
        self.worst = Worst(judge, self.x, self.clean, target)

    def gradient(
        self, perturbation: Tensor, clips: Tensor | None = None, aim: Aim | None = None
    ) -> Probe:
        """As for every attack, and judge what was seen."""
        probe = super().gradient(perturbation, clips, aim)
        chosen = self.everyone if clips is None else clips
        self.worst.take(perturbation.detach(), probe.prediction, chosen)
        return probe

    def predict(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """As for every attack, and judge what was seen."""
        prediction = super().predict(perturbation, clips)
        self.worst.take(perturbation, prediction, self.everyone if clips is None else clips)
        return prediction

    def close(self, worst: Worst) -> None:
        """Hand over each clip's worst perturbation, as the model itself judges it, and the counts."""
        found = self.worst.perturbation
        # Gradients may come from a copy that rounds otherwise.
        worst.take(found, super().predict(found), self.clips)
        self.whole.gradient_queries[self.clips] += self.gradient_queries
        self.whole.forward_queries[self.clips] += self.forward_queries
        self.whole.sound[self.clips] &= self.sound
