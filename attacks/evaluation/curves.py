"""Robustness as a curve: many budgets in one call, each search starting where the last one ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from steadyear.attacks.balls import Unbounded
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.result import AttackResult
from steadyear.attacks.core.views import Model
from steadyear.attacks.signal.sizes import per_clip

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

    A larger budget allows all that a smaller one does. Where only rates and minimal budgets are wanted,
    each clip's budget is therefore found by bisection of the grid.

    Args:
        attack: The attack; its own budget is not used.
        model: Any callable, as for attacks.
        x: Clean input, shape (batch, ...).
        target: What the objective is measured against; ``None`` takes the model's own clean
            prediction.
        budgets: Budgets in ascending order, above 0; a 0 at their beginning is left out, because
            the curve always begins with no attack.
        index: Stable numbers of the clips, shape (batch,), which key all random numbers.
        until_success: Ask no more than at which budget each clip breaks: three or four searches for
            eight budgets. The objective is then only what was found on the way. Without effect on
            objectives that couple clips.

    Raises:
        ValueError: If the budgets do not ascend, or there is none above 0.
        TypeError: If the attack is unbounded.
    """
    grid = [float(budget) for budget in budgets if budget != 0]
    if isinstance(attack.ball, Unbounded):
        raise TypeError("An unbounded attack has no curve; give it a ball with a budget.")
    if not grid or grid[0] < 0 or not all(low < high for low, high in pairwise(grid)):
        raise ValueError(f"A curve needs ascending budgets above 0, not {list(budgets)}.")
    clips = _Clips(attack, model, x, target, index)
    if until_success and not attack.objective.couples_clips:
        return _bisected(clips, grid)
    return _walked(clips, grid)


class _Clips:
    """Clips under attack at budgets of their own, and what was found last for each of them."""

    def __init__(
        self, attack: Attack, model: Model, x: Tensor, target: Tensor | None, index: Tensor | None
    ) -> None:
        self.attack, self.model = attack, model
        self.x, self.target, self.index = x, target, index
        self.everyone = torch.arange(len(x), device=x.device)
        self.start: Tensor | None = None
        self.eps = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        self.gradient_queries = torch.zeros_like(self.everyone)
        self.forward_queries = torch.zeros_like(self.everyone)

    def attacked(self, eps: float, clips: Tensor) -> AttackResult:
        """Attack some of the clips, from what was found for them before, stretched or shrunk."""
        start = self.start
        if start is not None:
            share = (eps / self.eps[clips]).to(start.dtype)
            start = start[clips] * per_clip(share, start)
        result = self.attack.at(eps)(
            self.model,
            self.x[clips],
            None if self.target is None else self.target[clips],
            index=None if self.index is None else self.index[clips.to(self.index.device)],
            start=start,
        )
        if self.start is None:  # the first attack is on all clips
            self.start = torch.zeros_like(result.perturbation)
        self.start[clips], self.eps[clips] = result.perturbation, eps
        self.gradient_queries[clips] += result.gradient_queries
        self.forward_queries[clips] += result.forward_queries
        return result

    def clean_success(self, result: AttackResult) -> Tensor:
        """Which clips of a result on all of them were beyond the aim without attack."""
        clean = self.attack.view.read(result.clean_output)
        target = self.attack.objective.reference(clean, self.target)
        return self.attack.objective.success(clean, clean, target)

    def curve(self, grid: list[float], objective: Tensor, success: Tensor) -> RobustCurve:
        """The curve, with no attack as the first budget."""
        budgets = torch.tensor([0.0, *grid], dtype=torch.float64)
        return RobustCurve(budgets, objective, success, self.gradient_queries, self.forward_queries)


def _walked(clips: _Clips, grid: list[float]) -> RobustCurve:
    results = [clips.attacked(eps, clips.everyone) for eps in grid]
    first = results[0]
    objective = torch.stack([first.clean_objective, *(r.objective for r in results)])
    success = torch.stack([clips.clean_success(first), *(r.success for r in results)])
    return clips.curve(grid, objective.cummax(0).values, success.cummax(0).values)


def _bisected(clips: _Clips, grid: list[float]) -> RobustCurve:
    # Places in the grid with no attack before it: the last without success, the first with it.
    low = torch.zeros_like(clips.everyone)
    high = torch.full_like(low, len(grid) + 1)
    objective: Tensor | None = None
    while bool((high - low > 1).any()):
        open_, middle = high - low > 1, (low + high) // 2
        for place in sorted(set(middle[open_].tolist())):
            some = (open_ & (middle == place)).nonzero()[:, 0]
            result = clips.attacked(grid[place - 1], some)
            high[some] = torch.where(result.success, place, high[some])
            low[some] = torch.where(result.success, low[some], place)
            if objective is None:
                found = result.objective
                objective = found.new_full((len(grid) + 1, len(found)), -torch.inf)
                objective[0] = result.clean_objective
                high = torch.where(clips.clean_success(result), 0, high)
            objective[place, some] = result.objective
    assert objective is not None  # there is a budget, so there was a search
    places = torch.arange(len(grid) + 1, device=high.device)
    return clips.curve(grid, objective.cummax(0).values, places[:, None] >= high)
