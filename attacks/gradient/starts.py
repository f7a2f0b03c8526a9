"""Several starts of one search, side by side in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.problem import Problem
from steadyear.attacks.signal.sizes import keep_worse

Climb = Callable[[Problem, Tensor], tuple[Tensor, Tensor]]
"""A search from starting perturbations; what it found for each clip, and its objective."""


class Copies(Problem):
    """A problem with every clip several times; what copies cost is counted for their clip.

    Args:
        whole: The problem; its clips must not depend on each other.
        number: How often every clip is there.
    """

    def __init__(self, whole: Problem, number: int) -> None:
        x, target = _repeated(whole.x, number), _repeated(whole.target, number)
        super().__init__(whole.forward, x, target, None, whole.attack, whole.craft)
        self.whole, self.copies = whole, number

    @cached_property
    def clean(self) -> Tensor:
        """What the view reads of the clean clips, as often as they are there."""
        return _repeated(self.whole.clean, self.copies)

    def close(self) -> None:
        """Hand over the counts."""
        counts = (
            values.reshape(self.copies, -1)
            for values in (self.gradient_queries, self.forward_queries)
        )
        gradients, forwards = (values.sum(0) for values in counts)
        self.whole.gradient_queries += gradients
        self.whole.forward_queries += forwards
        self.whole.sound &= self.sound.reshape(self.copies, -1).all(0)


def side_by_side(attack: Attack, starts: int) -> int:
    """How many of an attack's starts ``worst_of_starts`` searches at once.

    Args:
        attack: The attack.
        starts: Number of its starts.
    """
    return starts if attack.divisible else 1


def worst_of_starts(problem: Problem, starts: Sequence[Tensor], climb: Climb) -> Tensor:
    """Search from every start, and keep each clip's worst result.

    All starts are searched at once, as one larger batch, where clips do not depend on each other.

    Args:
        problem: What is attacked.
        starts: Perturbations to start from, shape (batch, ...) each.
        climb: The search.
    """
    if len(starts) == 1 or not problem.divisible:
        best, value = climb(problem, starts[0])
        for start in starts[1:]:
            best, value = keep_worse(best, value, *climb(problem, start))
        return best
    copies = Copies(problem, len(starts))
    found, value = climb(copies, torch.cat(list(starts)))
    copies.close()
    winner = value.reshape(len(starts), -1).argmax(0)
    found = found.reshape(len(starts), *problem.x.shape)
    return found[winner, torch.arange(len(winner), device=winner.device)]


def _repeated(values: Tensor, number: int) -> Tensor:
    return values.repeat(number, *(1 for _ in values.shape[1:]))
