"""Robustness as a curve: many budgets in one call, each search starting where the last one ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from attacks.balls import Unbounded
from attacks.base import Attack, AttackResult
from attacks.views import Model

BUDGETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class RobustCurve:
    """What an attack can do to each clip within growing budgets; monotone by construction.

    Attributes:
        budgets: Budgets in ascending order, shape (budgets,); the first is 0, which is no attack.
        objective: Largest objective that was found within each budget, shape (budgets, clips).
        success: Whether a perturbation with success was found, shape (budgets, clips), bool.
        gradient_queries: Gradients that each clip cost in all, shape (clips,), int64.
        forward_queries: Forward passes beside them, shape (clips,), int64.
    """

    budgets: Tensor
    objective: Tensor
    success: Tensor
    gradient_queries: Tensor
    forward_queries: Tensor

    @property
    def robust_rate(self) -> Tensor:
        """Share of the clips without success at each budget, shape (budgets,)."""
        return 1 - self.success.double().mean(1)

    @property
    def minimal_budget(self) -> Tensor:
        """Smallest budget of the grid with success, shape (clips,); infinite where there is none.

        A clip that is beyond the aim without attack has 0.
        """
        first = self.success.int().argmax(0)
        budgets = self.budgets.to(first.device)
        return torch.where(self.success.any(0), budgets[first], torch.inf)

    @property
    def area(self) -> float:
        """Area under the robust rate over the logarithm of the budget, from 0 to 1.

        The mean rate over the grid's range, by trapezia; a budget of 0 has no logarithm and is left
        out.

        Raises:
            ValueError: If there are fewer than two budgets above 0.
        """
        positive = self.budgets > 0
        if int(positive.sum()) < 2:
            raise ValueError("An area needs at least two budgets above 0.")
        place, rate = self.budgets[positive].log(), self.robust_rate.to(positive.device)[positive]
        return float(torch.trapezoid(rate, place) / (place[-1] - place[0]))


def robust_curve(
    attack: Attack,
    model: Model,
    x: Tensor,
    target: Tensor | None = None,
    budgets: Sequence[float] = BUDGETS,
    *,
    index: Tensor | None = None,
    until_success: bool = False,
) -> RobustCurve:
    """Attack the same clips within one budget after the other.

    Each search begins with what the one before it found, stretched to the larger budget, and what
    was found once counts for all larger budgets. Attacks that take no start profit from the latter
    only. For regression the robust rate follows from the tolerance of the objective.

    Args:
        attack: The attack; its own budget is not used.
        model: Any callable, as for attacks.
        x: Clean input, shape (batch, ...).
        target: What the objective is measured against; ``None`` takes the model's own clean
            prediction.
        budgets: Budgets in ascending order, above 0; a 0 at their beginning is left out, because
            the curve always begins with no attack.
        index: Stable numbers of the clips, shape (batch,), which key all random numbers.
        until_success: Leave a clip alone from the first budget with success on. Rates and minimal
            budgets are the same, sooner; the objective is then only what was found so far.

    Raises:
        ValueError: If the budgets do not ascend, or there is none above 0.
        TypeError: If the attack is unbounded.
    """
    grid = [float(budget) for budget in budgets if budget != 0]
    if isinstance(attack.ball, Unbounded):
        raise TypeError("An unbounded attack has no curve; give it a ball with a budget.")
    if not grid or grid[0] < 0 or not all(low < high for low, high in pairwise(grid)):
        raise ValueError(f"A curve needs ascending budgets above 0, not {list(budgets)}.")
    walk = _Walk(attack, model, x, target, index)
    for eps in grid:
        apart = until_success and not attack.objective.couples_clips
        walk.go(eps, walk.open() if apart else None)
    return walk.curve(grid)


class _Walk:
    """The way along the budgets, and what was found so far for each clip."""

    def __init__(
        self, attack: Attack, model: Model, x: Tensor, target: Tensor | None, index: Tensor | None
    ) -> None:
        self.attack, self.model = attack, model
        self.x, self.target, self.index = x, target, index
        self.everyone = torch.arange(len(x), device=x.device)
        self.eps = 0.0
        self.start: Tensor | None = None
        self.objective: list[Tensor] = []
        self.success: list[Tensor] = []
        self.gradient_queries = torch.zeros_like(self.everyone)
        self.forward_queries = torch.zeros_like(self.everyone)

    def open(self) -> Tensor:
        """Clips without success so far."""
        return self.everyone if not self.success else (~self.success[-1]).nonzero()[:, 0]

    def go(self, eps: float, clips: Tensor | None) -> None:
        """Attack clips within one budget; ``None`` stands for all of them."""
        chosen = self.everyone if clips is None else clips
        if len(chosen):
            result = self.attack.at(eps)(
                self.model,
                self.x[chosen],
                None if self.target is None else self.target[chosen],
                index=None if self.index is None else self.index[chosen],
                start=None if self.start is None else self.start[chosen] * (eps / self.eps),
            )
            self._note(result, chosen)
        else:
            self.objective.append(self.objective[-1])
            self.success.append(self.success[-1])
        self.eps = eps

    def _note(self, result: AttackResult, clips: Tensor) -> None:
        if self.start is None:
            self._note_clean(result)
            self.start = torch.zeros_like(result.perturbation)
        objective, success = self.objective[-1].clone(), self.success[-1].clone()
        objective[clips] = torch.maximum(objective[clips], result.objective)
        success[clips] |= result.success
        self.objective.append(objective)
        self.success.append(success)
        self.start[clips] = result.perturbation
        self.gradient_queries[clips] += result.gradient_queries
        self.forward_queries[clips] += result.forward_queries

    def _note_clean(self, result: AttackResult) -> None:
        objective = self.attack.objective
        clean = self.attack.view.read(result.clean_output)
        target = objective.reference(clean, self.target)
        self.objective.append(result.clean_objective)
        self.success.append(objective.success(clean, clean, target))

    def curve(self, grid: list[float]) -> RobustCurve:
        """All that was found, with no attack as the first budget."""
        return RobustCurve(
            torch.tensor([0.0, *grid], dtype=torch.float64),
            torch.stack(self.objective),
            torch.stack(self.success),
            self.gradient_queries,
            self.forward_queries,
        )
