"""Attacks on linear models, whose worst case can be written down."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    BIM,
    FGSM,
    PGD,
    AbsoluteError,
    Linf,
    Noise,
    Objective,
    RandomStreams,
    SquaredError,
)
from tests.attacks.norm_balls import BALLS, DUAL

EPS = 0.03


class Value(Objective):
    """The first output itself: an objective that is linear in the prediction."""

    def check(self, prediction: Tensor, target: Tensor) -> None:
        assert prediction.shape == target.shape

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        return prediction[:, 0]

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        return prediction[:, 0] - clean[:, 0]


def linear(outputs: int = 1) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(4)
    return nn.Linear(40, outputs).double(), torch.rand(5, 40, dtype=torch.float64)


def dual(model: nn.Linear, ball: type) -> float:
    return float(model.weight[0].detach().norm(p=DUAL[ball]))


ATTACKS = {
    "fgsm": FGSM,
    "bim": BIM,
    "pgd": partial(PGD, steps=60, relative_step=0.5),
}


@BALLS
@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
def test_gain_of_a_linear_objective_is_the_dual_norm(ball, make) -> None:
    model, x = linear()
    result = make(ball(EPS), Value())(model, x)
    gain = result.objective - result.clean_objective
    torch.testing.assert_close(
        gain, torch.full_like(gain, EPS * dual(model, ball)), rtol=1e-9, atol=0
    )
    assert result.success.all()


@BALLS
@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("objective", [SquaredError(), AbsoluteError()], ids=["mse", "mae"])
def test_worst_error_of_a_linear_model(ball, make, objective) -> None:
    model, x = linear()
    with torch.no_grad():
        error = torch.tensor([[-2.0], [-1.0], [1.0], [1.5], [3.0]], dtype=torch.float64)
        target = model(x) - error
    worst = error[:, 0].abs() + EPS * dual(model, ball)
    expected = worst.square() if isinstance(objective, SquaredError) else worst
    result = make(ball(EPS), objective)(model, x, target)
    torch.testing.assert_close(result.objective, expected, rtol=1e-9, atol=0)


@BALLS
def test_noise_is_weaker_than_the_worst_case(ball) -> None:
    model, x = linear()
    result = Noise(ball(EPS), Value(), tries=50)(model, x)
    gain = result.objective - result.clean_objective
    assert (gain > 0).all()
    assert (gain < 0.9 * EPS * dual(model, ball)).all()
    torch.testing.assert_close(result.size, torch.full_like(gain, EPS))


@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
def test_bounds_cut_the_linear_gain_value_by_value(make) -> None:
    model, x = linear()
    x[:, ::3] = 1.0
    weight = model.weight[0].detach()
    room = torch.where(weight > 0, 1 - x, x).clamp_max(EPS)
    attack = make(Linf(EPS), Value(), bounds=(0.0, 1.0))
    result = attack(model, x)
    expected = (weight.abs() * room).sum(1)
    torch.testing.assert_close(
        result.objective - result.clean_objective, expected, rtol=1e-9, atol=0
    )


@BALLS
def test_tiny_gradients_count(ball) -> None:
    """Scaling the objective must not weaken the attack, also where fp32 squares underflow."""
    model, x = linear()
    model, x = model.float(), x.float()

    class Tiny(Value):
        def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
            return 1e-30 * prediction[:, 0]

    result = FGSM(ball(EPS), Tiny())(model, x)
    gain = (result.output - result.clean_output)[:, 0]
    torch.testing.assert_close(
        gain, torch.full_like(gain, EPS * dual(model, ball)), rtol=1e-4, atol=0
    )


@BALLS
def test_random_starts_fill_the_ball_uniformly(ball) -> None:
    """Radii of a uniform ball in d dimensions: norm / eps to the power d is uniform."""
    x = torch.zeros(4000, 3)
    start = ball(2.0).sample_in_ball(x, RandomStreams(0, torch.arange(4000)))
    assert abs(float(start.mean())) < 0.05
    radius = (ball(1.0).size(start, x) / 2) ** 3
    assert float(radius.max()) <= 1 + 1e-6
    quantiles = torch.quantile(radius, torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(quantiles, torch.tensor([0.1, 0.5, 0.9]), atol=0.03, rtol=0)
    surface = ball(2.0).size(ball(2.0).sample_on_sphere(x, RandomStreams(0, torch.arange(4000))), x)
    torch.testing.assert_close(surface, torch.full((4000,), 2.0))
