"""What an ensemble is made of: members, their part of the problem, and the worst that was seen."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.problem import Aim, Probe, Problem
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


class TargetedLogitSum(Objective):
    """Sum of the logits times what is wished for them: 1 is up, -1 is down, 0 is anything."""

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Nothing to check: the ensemble makes the target."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Weighted sum per clip."""
        return (prediction * target).sum(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """The value itself."""
        return self(prediction, target)


class WithSuccess(Objective):
    """A loss of labels where a decision has changed, and elsewhere how near that is.

    The loss is not negative and the distance is not positive, so no loss is worth giving success
    up for. The target holds labels and clean logits, shape (clips, 2, classes).

    Args:
        loss: The loss.
    """

    def __init__(self, loss: Objective) -> None:
        self.loss = loss

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Nothing to check: the ensemble makes the target."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss with success, margin without."""
        labels, clean = target.unbind(1)
        margin = self.loss.margin(prediction, clean, labels)
        return torch.where(margin > 0, self.loss(prediction, labels), margin)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """That of the loss."""
        return self.loss.margin(prediction, clean, target[:, 0])


class Worst:
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
        self.hit = judge.success(clean, clean, target)
        self.most = self.value.clone()
        """Largest value that was seen, with success or without."""

    def take(self, perturbation: Tensor, prediction: Tensor, clips: Tensor) -> None:
        """Keep a perturbation of some of the clips where it is worse, given what it leads to."""
        target = self.target[clips]
        value = self.judge(prediction, target)
        hit = self.judge.success(prediction, self.clean[clips], target)
        old_value, old_hit = self.value[clips], self.hit[clips]
        wins = value > old_value
        if self.success_first:
            wins = (hit & ~old_hit) | ((hit == old_hit) & wins)
        old = self.perturbation[clips]
        self.perturbation[clips] = torch.where(per_clip(wins, old), perturbation, old)
        self.value[clips] = torch.where(wins, value, old_value)
        self.hit[clips] = torch.where(wins, hit, old_hit)
        self.most[clips] = torch.maximum(self.most[clips], value)


class Part(Problem):
    """A member's problem on some of the clips; what it asks about is judged by the ensemble.

    Args:
        whole: The ensemble's problem.
        member: The member.
        clips: Positions of the clips in the batch.
        worst: What the ensemble has found so far; the member's best goes there.
    """

    def __init__(self, whole: Problem, member: Member, clips: Tensor, worst: Worst) -> None:
        super().__init__(
            whole.forward,
            whole.x[clips],
            member.target[clips],
            whole.clean[clips],
            member.attack,
            whole.craft,
        )
        self.whole, self.clips, self.worst = whole, clips, worst
        judge, target = whole.attack.objective, whole.target[clips]
        self.everyone = torch.arange(len(clips), device=clips.device)
        self.seen = Worst(judge, self.x, self.clean, target, worst.success_first)

    def gradient(
        self, perturbation: Tensor, clips: Tensor | None = None, aim: Aim | None = None
    ) -> Probe:
        """As for every attack, and judge what was seen."""
        probe = super().gradient(perturbation, clips, aim)
        chosen = self.everyone if clips is None else clips
        self.seen.take(perturbation.detach(), probe.prediction, chosen)
        return probe

    def predict(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """As for every attack, and judge what was seen."""
        prediction = super().predict(perturbation, clips)
        self.seen.take(perturbation, prediction, self.everyone if clips is None else clips)
        return prediction

    def run(self, rng: RandomStreams) -> None:
        """Search, then hand over each clip's worst, as the model itself judges it, and the counts."""
        self.attack.solve(self, rng)
        found = self.seen.perturbation
        # Gradients may come from a copy that rounds otherwise.
        self.worst.take(found, super().predict(found), self.clips)
        self.worst.most[self.clips] = torch.maximum(self.worst.most[self.clips], self.seen.most)
        self.whole.gradient_queries[self.clips] += self.gradient_queries
        self.whole.forward_queries[self.clips] += self.forward_queries
        self.whole.sound[self.clips] &= self.sound
