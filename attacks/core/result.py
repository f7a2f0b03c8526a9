"""What attacks return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class AttackResult:
    """What an attack found; every number is recomputed from the returned tensor.

    Attributes:
        adversarial: The attacked tensor, shape (batch, ...).
        perturbation: Attacked minus clean tensor.
        clean_output: The model's output on the clean tensor, detached.
        output: The model's output on the attacked tensor, detached.
        clean_objective: Objective before the attack, shape (batch,).
        objective: Objective after the attack, shape (batch,).
        success: Whether each clip's attack reached its aim, shape (batch,), bool.
        size: Size of each perturbation in the ball's norm, shape (batch,).
        gradient_queries: Gradients of the objective that each clip cost, shape (batch,), int64.
        forward_queries: Forward passes without gradient that each clip's search cost beside them,
            shape (batch,), int64; the two that every attack is measured by are not counted.
    """

    adversarial: Tensor
    perturbation: Tensor
    clean_output: Any
    output: Any
    clean_objective: Tensor
    objective: Tensor
    success: Tensor
    size: Tensor
    gradient_queries: Tensor
    forward_queries: Tensor


class Crafted(NamedTuple):
    """Attacked clips and what they cost, not judged.

    Attributes:
        adversarial: The attacked tensor, shape (batch, ...).
        gradient_queries: Gradients of the objective that each clip cost, shape (batch,), int64.
        forward_queries: Forward passes of the search beside them, shape (batch,), int64.
    """

    adversarial: Tensor
    gradient_queries: Tensor
    forward_queries: Tensor
