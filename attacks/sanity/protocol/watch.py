"""Seeing the path of an attack without changing it."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.objectives.base import Objective


def watched(attack: Attack) -> tuple[Attack, list[Tensor]]:
    """A copy of an attack that leaves behind the objective of every gradient it took.

    Args:
        attack: The attack.

    Returns:
        The copy, and a list that fills while it runs: objectives per clip, shape (batch,), of those
        gradients that were taken for some or all of the clips.
    """
    path: list[Tensor] = []
    kind = type(attack.objective)

    class Watched(kind):  # type: ignore[misc, valid-type]
        def __call__(self, *args: Any, **more: Any) -> Tensor:
            values: Tensor = super().__call__(*args, **more)
            if values.requires_grad:
                # Cloned, because solvers may keep their books in the tensor that they were given.
                path.append(values.detach().clone())
            return values

    # A name of its own: configurations find objectives by the names of subclasses.
    Watched.__name__ = Watched.__qualname__ = f"Watched{kind.__name__}"
    objective: Objective = copy.copy(attack.objective)
    objective.__class__ = Watched
    seen = copy.copy(attack)
    seen.objective = objective
    return seen, path
