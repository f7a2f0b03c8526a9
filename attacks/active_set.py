"""Which clips a search still has to look at."""

from __future__ import annotations

import torch
from torch import Tensor

from attacks.base import Problem

_EVERY = 4  # steps between two looks at who is left, for a look waits for the device


class ActiveSet:
    """Clips leave a search when the attack has reached its aim there.

    Args:
        problem: What is attacked.
        until_success: Whether they leave at all.
    """

    def __init__(self, problem: Problem, until_success: bool) -> None:
        self.problem, self.until_success = problem, until_success
        self.hit = torch.zeros(len(problem.x), dtype=torch.bool, device=problem.x.device)
        self.clips: Tensor | None = None
        """Positions of the clips that are left; ``None`` stands for all."""

    @property
    def chosen(self) -> Tensor | slice:
        """The same as an index."""
        return slice(None) if self.clips is None else self.clips

    def look(self, step: int) -> bool:
        """Let clips go, every few steps; whether anyone is left.

        Args:
            step: Number of the step, from 0.
        """
        if self.until_success and self.problem.divisible and step % _EVERY == 0 and step > 0:
            number = self.problem.copies
            # A clip is left alone at all its starts when one of them has reached the aim.
            done = self.hit.reshape(number, -1).any(0).repeat(number)
            self.clips = (~done).nonzero()[:, 0]
        return self.clips is None or len(self.clips) > 0

    def worth(self, value: Tensor, prediction: Tensor) -> Tensor:
        """How much a point is worth: infinite with success, if clips leave with it.

        Args:
            value: Objective of the clips that are left, shape (clips,).
            prediction: What the view read of them.
        """
        if not self.until_success:
            return value
        problem, chosen = self.problem, self.chosen
        clean, target = problem.clean[chosen], problem.target[chosen]
        reached = problem.attack.objective.success(prediction, clean, target)
        self.hit[chosen] |= reached
        return torch.where(reached, torch.inf, value)
