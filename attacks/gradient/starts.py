"""Several starts of one search, side by side in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.signal.sizes import keep_worse

Ascent = Callable[[Query, Tensor], tuple[Tensor, Tensor]]
"""A search from starting perturbations; what it found for each clip, and its objective."""


def side_by_side(attack: Attack, starts: int) -> int:
    """How many of an attack's starts ``worst_of_starts`` searches at once.

    Args:
        attack: The attack.
        starts: Number of its starts.
    """
    return starts if attack.clips_independent else 1


def worst_of_starts(query: Query, starts: Sequence[Tensor], ascend: Ascent) -> Tensor:
    """Search from every start, and keep each clip's worst result.

    All starts are searched at once, as one larger batch, where clips do not depend on each other.

    Args:
        query: What is attacked.
        starts: Perturbations to start from, shape (batch, ...) each.
        ascend: The search.
    """
    if len(starts) == 1 or not query.clips_independent:
        best, value = ascend(query, starts[0])
        for start in starts[1:]:
            best, value = keep_worse(best, value, *ascend(query, start))
        return best
    repeated = query.repeat(len(starts))
    found, value = ascend(repeated, torch.cat(list(starts)))
    winner = value.reshape(len(starts), -1).argmax(0)
    found = found.reshape(len(starts), *query.x.shape)
    return found[winner, torch.arange(len(winner), device=winner.device)]
