"""The L1 ball and APGD in it: projections, directions, and worst cases that can be written down."""

from __future__ import annotations

import math

import eagerpy as ep
import foolbox
import numpy as np
import pytest
import torch
from foolbox.attacks.fast_minimum_norm import project_onto_l1_ball
from scipy.optimize import minimize
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    BIM,
    FGSM,
    FMN,
    PGD,
    AbsoluteError,
    CrossEntropy,
    Noise,
    RandomStreams,
    SquaredError,
)
from steadyear.attacks.balls.l1 import L1, largest, shrunk
from tests.attacks.small_classifier import digits, norms

INDEX = torch.arange(6)


def linear(values: int = 40) -> tuple[nn.Linear, Tensor, Tensor]:
    """A linear model, clips in the unit box, and targets below and above the predictions."""
    torch.manual_seed(4)
    model, x = nn.Linear(values, 1).double(), torch.rand(6, values, dtype=torch.float64)
    errors = torch.tensor([[-2.0], [-1.0], [-0.1], [0.2], [1.5], [3.0]], dtype=torch.float64)
    return model, x, model(x).detach() - errors


def worst_error(model: nn.Linear, x: Tensor, target: Tensor, eps: float, boxed: bool) -> Tensor:
    """Spend the budget on the values with the largest weights, as far as they have room."""
    weight = model.weight[0].detach()
    error = (model(x).detach() - target)[:, 0]
    way = error.sign()[:, None] * weight.sign()
    room = torch.where(way > 0, 1 - x, x) if boxed else torch.full_like(x, torch.inf)
    order = weight.abs().argsort(descending=True)
    room = room[:, order]
    before = torch.cat([torch.zeros(len(x), 1).double(), room.cumsum(1)[:, :-1]], 1)
    spent = torch.minimum(room, (eps - before).clamp_min(0))
    return error.abs() + (spent * weight.abs()[order]).sum(1)


@pytest.mark.parametrize("eps", [0.0, 0.01, 1.0, 7.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_projection_equals_foolbox(eps, dtype) -> None:
    torch.manual_seed(0)
    y, x = torch.randn(9, 2, 25, dtype=dtype), torch.zeros(9, 2, 25, dtype=dtype)
    found = L1(eps).project(y, x)
    expected = project_onto_l1_ball(
        ep.astensor(y.double()), ep.astensor(torch.full((9,), eps).double())
    ).raw
    torch.testing.assert_close(found.double(), expected, atol=1e-7, rtol=1e-6)
    assert torch.equal(L1(eps).project(found, x), found) or eps > 0
    torch.testing.assert_close(L1(eps).project(found, x), found, atol=1e-7, rtol=1e-6)
    assert (L1(eps).size(found, x) <= eps * (1 + 1e-6)).all()
    assert L1(math.inf).project(y, x).equal(y)


@pytest.mark.parametrize("eps", [0.0, 0.3, 1.0, 2.5, 9.0])
def test_projection_onto_ball_and_box_is_the_nearest_point(eps) -> None:
    torch.manual_seed(1)
    x, y = torch.rand(4, 8, dtype=torch.float64), torch.randn(4, 8, dtype=torch.float64)
    x[0, :3] = 1.0
    found = L1(eps).project_within_bounds(y, x, (0.0, 1.0))
    assert (L1(eps).size(found, x) <= eps + 1e-9).all()
    assert (x + found).min() >= -1e-12
    assert (x + found).max() <= 1 + 1e-12
    for clip, wish, ours in zip(x, y, found, strict=True):
        away = float((ours - wish).square().sum())
        assert away == pytest.approx(nearest(clip.numpy(), wish.numpy(), eps), abs=1e-6)


def nearest(clip: np.ndarray, wish: np.ndarray, eps: float) -> float:
    """Squared distance that an optimiser finds; positive and negative parts make it smooth."""
    best = minimize(
        lambda v: ((v[:8] - v[8:] - wish) ** 2).sum(),
        np.zeros(16),
        jac=lambda v: 2 * np.concatenate([v[:8] - v[8:] - wish, wish - v[:8] + v[8:]]),
        bounds=[(0, 1 - c) for c in clip] + [(0, c) for c in clip],
        constraints={"type": "ineq", "fun": lambda v: eps - v.sum()},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return float(best.fun)


def test_long_clips_keep_the_digits_of_their_norm() -> None:
    torch.manual_seed(2)
    y = torch.randn(2, 200_000)
    found = L1(500.0).project(y, torch.zeros_like(y))
    torch.testing.assert_close(
        found.double().abs().sum(1), torch.full((2,), 500.0).double(), rtol=1e-6, atol=0
    )


def test_radii_belong_to_their_clips() -> None:
    torch.manual_seed(3)
    y, radius = torch.randn(4, 30), torch.tensor([0.0, 1.0, 5.0, math.inf])
    found = L1().project_to_radius(y, radius, y)
    for i in range(4):
        alone = shrunk(y[i : i + 1], radius[i : i + 1])
        assert torch.equal(found[i : i + 1], alone)
    assert (found[0] == 0).all()
    assert torch.equal(found[3], y[3])


def test_a_single_value_attains_the_dual_norm() -> None:
    torch.manual_seed(5)
    g = 1e-30 * torch.randn(5, 3, 20)
    step = L1(1.0, share=0.0).direction(g, g)
    assert (step != 0).flatten(1).sum(1).eq(1).all()
    torch.testing.assert_close(L1().size(step, g), torch.ones(5))
    torch.testing.assert_close((step * g).flatten(1).sum(1), L1().dual_norm(g, g))
    assert (L1().direction(torch.zeros_like(g), g) == 0).all()


@pytest.mark.parametrize(("share", "values"), [(0.05, 2), (0.26, 11), (1.0, 40)])
def test_the_gain_of_one_step_is_what_is_promised(share, values) -> None:
    model, x, target = linear()
    result = FGSM(L1(0.3, share), AbsoluteError())(model, x, target)
    weights = model.weight[0].detach().abs().sort(descending=True).values[:values]
    expected = result.clean_objective + 0.3 * weights.square().sum() / weights.sum()
    torch.testing.assert_close(result.objective, expected, rtol=1e-9, atol=0)
    assert ((result.perturbation != 0).sum(1) == values).all()


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("eps", [0.3, 3.0])
def test_apgd_finds_the_worst_case_of_a_linear_model(eps, boxed) -> None:
    model, x, target = linear()
    expected = worst_error(model, x, target, eps, boxed)
    attack = APGD(L1(eps), AbsoluteError(), steps=100, bounds=(0.0, 1.0) if boxed else None)
    result = attack(model, x, target, index=INDEX)
    # The published steps never become shorter than a tenth of the budget.
    torch.testing.assert_close(result.objective, expected, rtol=3e-2 if boxed else 5e-3, atol=0)
    assert (result.objective <= expected * (1 + 1e-9)).all()
    assert (result.size <= eps * (1 + 1e-9)).all()
    assert (result.gradient_queries == 100).all()
    assert (result.forward_queries == 1).all()


def test_single_steps_find_the_worst_case_without_a_box() -> None:
    model, x, target = linear()
    expected = worst_error(model, x, target, 0.3, False)
    for make in (FGSM, BIM, PGD):
        result = make(L1(0.3, share=0.0), AbsoluteError())(model, x, target)
        rtol = 1e-9 if make is not PGD else 0.05
        torch.testing.assert_close(result.objective, expected, rtol=rtol, atol=0)


def test_projected_steps_gather_on_the_best_value() -> None:
    model, x, target = linear()
    expected = worst_error(model, x, target, 0.3, False)
    attack = PGD(L1(0.3, share=1.0), AbsoluteError(), steps=100, relative_step=1.0)
    torch.testing.assert_close(attack(model, x, target).objective, expected, rtol=1e-2, atol=0)


def test_minimal_norms_of_a_linear_model() -> None:
    model, x, target = linear()
    attack = FMN(L1(math.inf, share=0.0), AbsoluteError(tolerance=0.3), steps=100)
    result = attack(model, x, target)
    expected = 0.3 / model.weight[0].detach().abs().max()
    assert result.success.all()
    torch.testing.assert_close(result.size, expected.expand(6), rtol=2e-3, atol=0)


@pytest.fixture(scope="module")
def net() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 64, 3))
    x = torch.randn(6, 1, 10, 10)
    with torch.no_grad():
        target = net(x) + 0.1 * torch.randn(6, 3)
    return net, x, target


def test_apgd_is_stronger_than_pgd_and_noise(net) -> None:
    apgd = APGD(L1(8.0), steps=50)(*net, index=INDEX).objective
    for share in (0.0, 0.01, 0.1):
        pgd = PGD(L1(8.0, share), steps=50)(*net, index=INDEX)
        assert apgd.mean() > pgd.objective.mean()
    noise = Noise(L1(8.0), SquaredError(), tries=20)(*net, index=INDEX).objective
    assert (apgd > noise).all()


def test_apgd_continues_from_a_start(net) -> None:
    start = APGD(L1(8.0), steps=30)(*net, index=INDEX)
    again = APGD(L1(8.0), steps=10, seed=5)(*net, index=INDEX, start=start.perturbation)
    assert (again.objective >= start.objective * (1 - 1e-5)).all()


@pytest.mark.parametrize("bounds", [None, (-4.0, 4.0)])
def test_clips_do_not_depend_on_their_batch(net, bounds) -> None:
    model, x, target = net
    x = x.clamp(-4, 4)
    attack = APGD(L1(8.0), steps=20, bounds=bounds)
    whole = attack(model, x, target, index=INDEX)
    assert (whole.size <= 8 * (1 + 1e-6)).all()
    for clips in ([3], [5, 0]):
        part = attack(model, x[clips], target[clips], index=INDEX[clips])
        torch.testing.assert_close(part.adversarial, whole.adversarial[clips], atol=1e-5, rtol=0)


@pytest.mark.parametrize("attack", [APGD, PGD, FGSM, Noise])
def test_a_budget_of_zero_changes_nothing(net, attack) -> None:
    model, x, target = net
    x = x.clone()
    x[0] = 0
    result = attack(L1(0.0))(model, x, target)
    assert torch.equal(result.adversarial, x)


def test_random_points_are_uniform() -> None:
    """Sizes of a uniform ball in d dimensions: norm / eps to the power d is uniform."""
    x = torch.zeros(4000, 3)
    inside = L1(2.0).sample_in_ball(x, RandomStreams(0, torch.arange(4000)))
    radius = (L1().size(inside, x) / 2) ** 3
    wanted = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(torch.quantile(radius, wanted), wanted, atol=0.03, rtol=0)
    surface = L1(2.0).sample_on_sphere(x, RandomStreams(1, torch.arange(4000)))
    torch.testing.assert_close(L1().size(surface, x), torch.full((4000,), 2.0))
    # On the face of a simplex each size is the smallest one with equal chance; its mean is a third.
    torch.testing.assert_close(surface.abs().mean(0), torch.full((3,), 2 / 3), atol=0.03, rtol=0)
    assert surface.mean().abs() < 0.05


def test_largest_takes_ties_along() -> None:
    g = torch.tensor([[3.0, -3.0, 1.0, 2.0]])
    assert largest(g, torch.tensor([1])).tolist() == [[True, True, False, False]]
    assert largest(g, torch.tensor([9])).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_is_a_share(share) -> None:
    with pytest.raises(ValueError, match="share"):
        L1(1.0, share)


def test_fmn_finds_norms_as_small_as_foolbox() -> None:
    """The best of three of its step sizes; ours has none to choose."""
    net, x, y = digits()
    x, y = x[:40], y[:40]
    ours = FMN(L1(math.inf), CrossEntropy(), steps=30, bounds=(0, 1))(net, x, y)
    theirs = []
    for step in (0.1, 1.0, 10.0):
        attack = foolbox.attacks.L1FMNAttack(steps=30, max_stepsize=step)
        found = attack.run(
            foolbox.PyTorchModel(net, (0, 1)), x, foolbox.criteria.Misclassification(y)
        )
        size = torch.where(net(found).argmax(1) != y, norms(found - x, 1), torch.inf)
        theirs.append(float(size.median()))
    assert ours.success.all()
    assert float(ours.size.median()) <= 1.01 * min(theirs)
