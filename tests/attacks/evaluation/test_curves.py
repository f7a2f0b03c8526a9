"""Curves: monotone, warm, and their minimal budgets and areas in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    FGSM,
    PGD,
    AbsoluteError,
    CrossEntropy,
    EmbeddingDissimilarity,
    Linf,
    Noise,
    RobustCurve,
    Unbounded,
    robust_curve,
)

GRID = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]


@pytest.fixture
def linear() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """One output: an attack within eps moves the error by eps times the dual norm, exactly."""
    torch.manual_seed(0)
    model, x = nn.Linear(12, 1).double(), torch.randn(20, 12, dtype=torch.float64)
    with torch.no_grad():
        target = model(x) - torch.rand(20, 1).double()
    return model, x, target, model.weight.detach().abs().sum()


@pytest.fixture
def classes() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))
    x = torch.randn(40, 12)
    target = net(x).argmax(1)
    target[:3] = (target[:3] + 1) % 4
    return net, x, target


def bisections(place: int, number: int) -> int:
    """Searches until the first of so many budgets with success is known."""
    low, high, count = 0, number + 1, 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle >= place else (middle, high)
        count += 1
    return count


@pytest.mark.parametrize("until_success", [False, True])
def test_rates_and_budgets_of_a_linear_model(linear, until_success) -> None:
    model, x, target, dual = linear
    attack = PGD(Linf(), AbsoluteError(tolerance=0.11), steps=5)
    curve = robust_curve(attack, model, x, target, GRID, until_success=until_success)
    growth = [0.0] + [eps * float(dual) for eps in GRID]
    assert curve.robust_rate.tolist() == [float(g <= 0.11) for g in growth]
    first = next(e for e, g in zip([0.0, *GRID], growth, strict=True) if g > 0.11)
    assert (curve.minimal_budget == first).all()
    assert curve.budgets.tolist() == [0.0, *GRID]
    before = (model(x) - target).detach().abs()[:, 0]
    if not until_success:
        expected = before + torch.tensor(growth, dtype=torch.float64)[:, None]
        torch.testing.assert_close(curve.objective, expected)
    number = bisections(GRID.index(first) + 1, len(GRID)) if until_success else len(GRID)
    assert (curve.gradient_queries == 5 * number).all()
    assert (curve.forward_queries == number).all()


@pytest.mark.parametrize("make", [PGD, APGD, FGSM, Noise], ids=lambda a: a.__name__)
def test_is_monotone_and_holds_what_single_attacks_find(classes, make) -> None:
    index = torch.arange(40)
    attack = make(Linf(), CrossEntropy())
    curve = robust_curve(attack, *classes, GRID, index=index)
    assert (curve.robust_rate.diff() <= 0).all()
    assert (curve.objective.diff(dim=0) >= 0).all()
    assert (~curve.success[:-1] | curve.success[1:]).all()
    # Clips that are wrong without attack need no budget.
    assert (curve.minimal_budget[:3] == 0).all()
    assert curve.robust_rate[0] == 37 / 40
    single = attack.at(GRID[0])(*classes, index=index)
    torch.testing.assert_close(
        curve.objective[1], torch.maximum(single.objective, single.clean_objective)
    )
    again = robust_curve(attack, *classes, GRID, index=index)
    assert torch.equal(again.objective, curve.objective)


def test_a_warm_start_finds_more_with_few_steps(classes) -> None:
    index = torch.arange(40)
    attack = PGD(Linf(), CrossEntropy(), steps=2)
    curve = robust_curve(attack, *classes, GRID, index=index)
    cold = torch.stack([attack.at(e)(*classes, index=index).objective for e in GRID])
    assert (curve.objective[1:].mean(1) >= cold.mean(1) - 1e-6).all()
    assert curve.objective[1:].mean() > cold.mean() + 1e-3


def test_bisection_costs_less_and_breaks_as_many(classes) -> None:
    index = torch.arange(40)
    attack = APGD(Linf(), CrossEntropy(), steps=20)
    full = robust_curve(attack, *classes, GRID, index=index)
    short = robust_curve(attack, *classes, GRID, index=index, until_success=True)
    assert (short.success == full.success).double().mean() > 0.99
    assert (~short.success[:-1] | short.success[1:]).all()
    assert (short.objective.diff(dim=0) >= 0).all()
    for place in range(len(GRID) + 1):
        some = (short.success.sum(0) == len(GRID) + 1 - place) & (place > 0)
        spent = 20 * bisections(place, len(GRID))
        assert (short.gradient_queries[some] == spent).all()
    part = robust_curve(
        attack, classes[0], *(v[9:12] for v in classes[1:]), GRID, index=index[9:12],
        until_success=True,
    )  # fmt: skip
    assert torch.equal(part.minimal_budget, short.minimal_budget[9:12])
    assert (full.gradient_queries == 20 * len(GRID)).all()
    finite = short.minimal_budget[short.minimal_budget.isfinite()]
    assert set(finite.tolist()) <= {0.0, *GRID}


def curve_of(success: list[list[int]], budgets: list[float]) -> RobustCurve:
    found = torch.tensor(success, dtype=torch.bool)
    nothing = torch.zeros(found.shape[1], dtype=torch.int64)
    grid = torch.tensor([0.0, *budgets], dtype=torch.float64)
    return RobustCurve(grid, torch.zeros(found.shape), found, nothing, nothing)


def test_area_and_minimal_budget_written_out() -> None:
    curve = curve_of([[0, 0], [0, 0], [1, 0], [1, 0]], [0.01, 0.1, 1.0])
    assert curve.robust_rate.tolist() == [1.0, 1.0, 0.5, 0.5]
    # One decade from 1 to 0.5, one decade at 0.5.
    assert curve.area == pytest.approx((0.75 + 0.5) / 2)
    assert curve.minimal_budget.tolist() == [pytest.approx(0.1), math.inf]
    assert curve_of([[0], [0], [0]], [0.1, 0.2]).area == pytest.approx(1.0)
    with pytest.raises(ValueError, match="two budgets above 0"):
        _ = curve_of([[0], [1]], [0.1]).area


def test_objectives_against_the_clean_clip_need_no_target(classes) -> None:
    net, x, _ = classes
    attack = PGD(Linf(), EmbeddingDissimilarity(tolerance=0.05), steps=4)
    curve = robust_curve(attack, net, x, budgets=[0.0, 0.05, 0.5])
    assert curve.budgets.tolist() == [0.0, 0.05, 0.5]
    assert curve.robust_rate[0] == 1
    assert curve.robust_rate[-1] < curve.robust_rate[1]


@pytest.mark.parametrize("budgets", [[], [0.0], [0.2, 0.1], [0.1, 0.1], [-0.1, 0.1]])
def test_budgets_must_ascend(classes, budgets) -> None:
    with pytest.raises(ValueError, match="ascending budgets"):
        robust_curve(PGD(Linf(), CrossEntropy()), *classes, budgets)


def test_what_has_no_budget_has_no_curve(classes) -> None:
    with pytest.raises(TypeError, match="no curve"):
        robust_curve(FGSM(Unbounded(), CrossEntropy()), *classes, GRID)
