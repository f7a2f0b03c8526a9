"""Objectives: values against scikit-learn and torch, aims reached, wrong targets refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from torch import nn

from steadyear.attacks import (
    BIM,
    FGSM,
    L2,
    PGD,
    AbsoluteError,
    Attack,
    CrossEntropy,
    Linf,
    Noise,
    RegressionObjective,
    SquaredError,
    Towards,
)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 4))


@pytest.mark.parametrize(
    ("objective", "reference"),
    [(SquaredError, mean_squared_error), (AbsoluteError, mean_absolute_error)],
)
@pytest.mark.parametrize("output", [None, 0, 3])
def test_regression_values_equal_scikit_learn(values, objective, reference, output) -> None:
    prediction, target = values
    chosen = slice(None) if output is None else [output]
    expected = [
        reference(t[chosen], p[chosen])
        for p, t in zip(prediction.numpy(), target.numpy(), strict=True)
    ]
    np.testing.assert_allclose(objective(output)(prediction, target), expected, rtol=1e-12)


@pytest.mark.parametrize("objective", [SquaredError, AbsoluteError])
def test_an_output_is_a_position_in_the_last_dimension(objective) -> None:
    torch.manual_seed(0)
    prediction, target = torch.randn(3, 5, 2), torch.randn(3, 5, 2)
    found = objective(1)(prediction, target)
    expected = objective()(prediction[..., 1], target[..., 1])
    torch.testing.assert_close(found, expected)


def test_towards_is_the_negative_squared_distance(values) -> None:
    prediction, target = values
    aim = [0.1, -0.2, 0.3, 0.4]
    found = Towards(aim)(prediction, target)
    expected = ((prediction - torch.tensor(aim, dtype=torch.float64)) ** 2).mean(1)
    torch.testing.assert_close(found, -expected)
    one = Towards(0.5, output=2)(prediction, target)
    torch.testing.assert_close(one, -((prediction[:, 2] - 0.5) ** 2))
    frames = prediction.expand(2, 9, 4)
    torch.testing.assert_close(Towards(aim)(frames, frames), -expected.mean().expand(2))


def test_cross_entropy_equals_scikit_learn(values) -> None:
    logits, labels = values[0], torch.arange(9) % 4
    expected = [
        log_loss([y], p[None], labels=range(4))
        for p, y in zip(logits.softmax(1).numpy(), labels.numpy(), strict=True)
    ]
    found = CrossEntropy()(logits, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    torch.testing.assert_close(found, F.cross_entropy(logits, labels, reduction="none"))


def test_cross_entropy_succeeds_where_the_class_is_wrong() -> None:
    logits = torch.tensor([[2.0, 1.0], [2.0, 1.0]])
    found = CrossEntropy().success(logits, logits, torch.tensor([0, 1]))
    assert found.tolist() == [False, True]


def test_regression_succeeds_when_the_mean_absolute_error_grows_enough() -> None:
    target, clean = torch.zeros(3, 2), torch.tensor([[0.5, 0.0]] * 3)
    attacked = torch.tensor([[0.5, 0.0], [0.5, 0.15], [0.5, -0.25]])
    assert SquaredError().success(attacked, clean, target).tolist() == [False, False, True]
    first = AbsoluteError(output=0)
    assert first.success(attacked, clean, target).tolist() == [False, False, False]
    strict = AbsoluteError(output=1, tolerance=0.2)
    assert strict.success(attacked, clean, target).tolist() == [False, False, True]


@pytest.mark.parametrize("ball", [Linf(0.3), L2(1.0)], ids=str)
def test_attacking_one_output_hurts_it_most(model, ball) -> None:
    x, target = torch.randn(8, 10), torch.zeros(8, 4)
    with torch.no_grad():
        target = model(x) + 0.5
    one = PGD(ball, SquaredError(output=2))(model, x, target)
    every = PGD(ball, SquaredError())(model, x, target)
    expected = (one.output - target)[:, 2].square()
    torch.testing.assert_close(one.objective, expected)
    assert (one.objective > (every.output - target)[:, 2].square()).all()
    mean_of_all = (one.output - target).square().mean(1)
    assert (every.objective > mean_of_all).all()


def test_towards_reaches_values_that_can_be_reached(model) -> None:
    torch.manual_seed(1)
    x = torch.randn(6, 10)
    aim = [0.1, -0.2, 0.0, 0.2]
    result = PGD(L2(8.0), Towards(aim, tolerance=0.02), steps=300, relative_step=0.01)(model, x)
    assert result.success.all()
    assert ((result.output - torch.tensor(aim)).abs().mean(1) <= 0.02).all()
    assert not Towards(aim, tolerance=0.02).success(result.clean_output, x, x).any()
    one = PGD(L2(4.0), Towards(0.7, output=1, tolerance=0.05), steps=200, relative_step=0.02)
    assert ((one(model, x).output[:, 1] - 0.7).abs() <= 0.05).all()


@pytest.mark.parametrize("attack", [FGSM, BIM, lambda b, o: PGD(b, o, random_start=False)])
@pytest.mark.parametrize("objective", [SquaredError(), AbsoluteError()])
def test_own_prediction_has_no_gradient_at_the_clean_clip(model, attack, objective) -> None:
    with pytest.raises(ValueError, match=r"gradient of \w+ against .* is zero: give a target"):
        attack(Linf(0.1), objective)(model, torch.randn(3, 10))


@pytest.mark.parametrize("objective", [SquaredError(), AbsoluteError()])
def test_own_prediction_is_attacked_from_a_random_start(model, objective) -> None:
    result = PGD(Linf(0.1), objective)(model, torch.randn(3, 10))
    assert (result.clean_objective == 0).all()
    assert (result.objective > 0).all()
    torch.testing.assert_close(result.objective, objective(result.output, result.clean_output))


def test_towards_needs_no_target_and_no_random_start(model) -> None:
    result = FGSM(Linf(0.1), Towards(5.0))(model, torch.randn(3, 10))
    assert (result.objective > result.clean_objective).all()


def squared() -> list[Attack]:
    return [FGSM(Linf(0.1)), PGD(L2(0.1)), Noise(Linf(0.1))]


@pytest.mark.parametrize("attack", squared(), ids=lambda a: type(a).__name__)
@pytest.mark.parametrize(
    "target",
    [torch.zeros(3), torch.zeros(3, 1), torch.zeros(4, 3), torch.zeros(3, 4, dtype=torch.long)],
    ids=lambda t: f"{tuple(t.shape)}-{t.dtype}",
)
def test_wrong_regression_targets_are_refused(model, attack, target) -> None:
    with pytest.raises(ValueError, match=r"predicts \(3, 4\) and the target is .* of torch"):
        attack(model, torch.randn(3, 10), target)


@pytest.mark.parametrize("output", [4, -1])
@pytest.mark.parametrize("objective", [SquaredError, AbsoluteError, lambda o: Towards(0.0, o)])
def test_outputs_that_do_not_exist_are_refused(model, objective, output) -> None:
    with pytest.raises(ValueError, match=f"no output {output}: the model has 4"):
        PGD(Linf(0.1), objective(output))(model, torch.randn(3, 10))


def test_predictions_without_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"needs predictions \(batch, outputs\)"):
        PGD(Linf(0.1))(lambda x: x.sum(1), torch.randn(3, 10), torch.zeros(3))


def test_towards_refuses_a_wrong_number_of_values(model) -> None:
    with pytest.raises(ValueError, match="2 values for 4"):
        PGD(Linf(0.1), Towards([1.0, 2.0]))(model, torch.randn(3, 10))


@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([0.0, 1.0, 2.0]),
        torch.zeros(3, 4),
        torch.zeros(3, 1, dtype=torch.long),
        torch.tensor([0, 1]),
        torch.tensor([0, 1, 4]),
        torch.tensor([0, 1, -100]),
        torch.tensor([0, 1, 2], dtype=torch.int32),
        None,
    ],
    ids=str,
)
def test_wrong_classes_are_refused(model, target) -> None:
    with pytest.raises(ValueError, match="needs logits"):
        FGSM(Linf(0.1), CrossEntropy())(model, torch.randn(3, 10), target)


def test_objectives_of_a_clip_do_not_see_other_clips(values) -> None:
    prediction, target = values
    for objective in (SquaredError(), AbsoluteError(1), Towards(0.2)):
        assert isinstance(objective, RegressionObjective)
        whole = objective(prediction, target)
        assert torch.equal(objective(prediction[2:3], target[2:3]), whole[2:3])


def test_regression_margins_are_the_growth_of_the_error_minus_the_tolerance(values) -> None:
    prediction, target = values
    clean = target + 0.2
    for objective in (SquaredError(tolerance=0.3), AbsoluteError(tolerance=0.3)):
        growth = (prediction - target).abs().mean(1) - 0.2
        found = objective.margin(prediction, clean, target)
        torch.testing.assert_close(found, growth - 0.3)
        assert torch.equal(found > 0, objective.success(prediction, clean, target))


def test_margins_decide_at_the_very_edge() -> None:
    """Where an attack is just at its aim, margins say what the plain comparisons say."""
    one = torch.full((1, 1), 1.0)
    up, down = one.nextafter(2 * one), one.nextafter(0 * one)
    grown = AbsoluteError(tolerance=1.0)
    edge = [grown.success(each, 0 * one, 0 * one).item() for each in (down, one, up)]
    assert edge == [False, False, True]
    reached = Towards(0.0, tolerance=1.0)
    edge = [reached.success(each, one, one).item() for each in (down, one, up)]
    assert edge == [True, True, False]
    assert Towards(1.0, tolerance=0.0).success(one, one, one).item()


def test_margins_of_classes_are_those_of_the_logits() -> None:
    torch.manual_seed(2)
    logits, labels = torch.randn(50, 4), torch.randint(4, (50,))
    rest = [
        max(float(z) for k, z in enumerate(row) if k != y)
        for row, y in zip(logits, labels, strict=True)
    ]
    expected = torch.tensor(rest) - logits[torch.arange(50), labels]
    found = CrossEntropy().margin(logits, logits, labels)
    torch.testing.assert_close(found, expected)
    success = CrossEntropy().success(logits, logits, labels)
    assert torch.equal(success, logits.argmax(1) != labels)
    assert 0 < int(success.sum()) < 50


def test_of_equal_logits_the_first_class_counts() -> None:
    logits, labels = torch.zeros(3, 3), torch.arange(3)
    assert CrossEntropy().success(logits, logits, labels).tolist() == [False, True, True]


def test_soft_margin_points_where_the_cross_entropy_does() -> None:
    torch.manual_seed(2)
    logits = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(5, (20,))
    soft = CrossEntropy().soft_margin(logits, logits, labels)
    hard = CrossEntropy().margin(logits, logits, labels)
    assert (soft >= hard).all()
    assert (soft <= hard + math.log(4)).all()
    slopes = [
        torch.autograd.grad(each.sum(), logits, retain_graph=True)[0]
        for each in (soft, CrossEntropy()(logits, labels))
    ]
    torch.testing.assert_close(*(F.normalize(each, dim=1) for each in slopes))
    sure = torch.tensor([[500.0, 0.0]], requires_grad=True)
    soft = CrossEntropy().soft_margin(sure, sure, torch.tensor([0]))
    assert torch.autograd.grad(soft.sum(), sure)[0].tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("objective", [SquaredError(), AbsoluteError(), Towards(0.2)])
def test_margins_have_true_gradients(values, objective) -> None:
    prediction, target = values
    inputs = prediction.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: objective.margin(p, target, target), inputs)
    (path,) = objective.paths()
    assert torch.equal(path(inputs, target, target), objective.margin(inputs, target, target))
