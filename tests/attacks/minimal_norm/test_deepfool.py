"""DeepFool: closed forms, foolbox, and what is counted."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from steadyear.attacks import (
    L2,
    AbsoluteError,
    CrossEntropy,
    HideLabels,
    Linf,
    MinimalNorm,
    OutputLoss,
    View,
)
from steadyear.attacks.minimal_norm.deepfool import DeepFool
from tests.attacks.norm_balls import BALLS, DUAL
from tests.attacks.small_classifier import digits, linear, norms


@BALLS
def test_one_step_crosses_the_boundary_of_a_linear_regression(ball) -> None:
    model, x, target = linear()
    attack = DeepFool(ball(math.inf), AbsoluteError(tolerance=0.3))
    result = attack(model, x, target)
    expected = 0.3 / model.weight[0].detach().norm(p=DUAL[ball])
    assert result.success.all()
    torch.testing.assert_close(result.size, expected.expand(6), rtol=1e-3, atol=0)
    # Clips with an error below the tolerance may cross zero on their way.
    assert (result.gradient_queries[[0, 1, 4, 5]] == 1).all()
    # Without a target the gradient is zero, and a random step shows the way.
    blind = attack(model, x)
    torch.testing.assert_close(blind.size, expected.expand(6), rtol=3e-3, atol=0)


@BALLS
def test_the_nearest_label_of_a_linear_multilabel_model_flips(ball) -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(30, 5).double(), torch.randn(20, 30, dtype=torch.float64)
    with torch.no_grad():
        # Labels of very different slopes: the smallest logit is often not the nearest boundary.
        model.weight.mul_(torch.tensor([1.0, 3.0, 0.3, 5.0, 0.1])[:, None])
    result = DeepFool(ball(math.inf), OutputLoss())(model, x, (model(x) > 0).double())
    logits = model(x).detach()
    distance = logits.abs() / model.weight.detach().norm(p=DUAL[ball], dim=1)
    assert (distance.argmin(1) != logits.abs().argmin(1)).any()
    assert result.success.all()
    torch.testing.assert_close(result.size, distance.amin(1), rtol=2e-3, atol=0)
    flipped = (result.output > 0) != (logits > 0)
    assert flipped.gather(1, distance.argmin(1, keepdim=True)).all()
    assert (result.gradient_queries == 5).all()


@BALLS
def test_norms_are_those_of_foolbox(ball) -> None:
    foolbox = importlib.import_module("foolbox")
    net, x, labels = digits()
    x, labels = x[:40], labels[:40]
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    name = "LinfDeepFoolAttack" if ball is Linf else "L2DeepFoolAttack"
    theirs = getattr(foolbox.attacks, name)(overshoot=0.02)
    found, _, hit = theirs(model, x, foolbox.criteria.Misclassification(labels), epsilons=None)
    attack = DeepFool(ball(math.inf), CrossEntropy(), bounds=(0.0, 1.0))
    result = attack(net, x, labels)
    assert hit.all()
    assert result.success.all()
    expected = norms(found - x, math.inf if ball is Linf else 2)
    assert result.size.median() <= 1.01 * expected.median()
    assert result.size.mean() <= 1.01 * expected.mean()
    # Nine boundaries in each of a few steps.
    assert (result.gradient_queries % 9 == 0).all()
    assert result.gradient_queries.float().mean() < 60


def test_an_objective_with_its_own_margin_has_one_boundary() -> None:
    torch.manual_seed(1)
    model, x = nn.Linear(30, 5).double(), torch.randn(10, 30, dtype=torch.float64)
    target = (model(x) > 0).double()
    result = DeepFool(L2(math.inf), HideLabels())(model, x, target)
    there = target.any(1)
    assert torch.equal(result.success, there)
    assert (result.output[there] <= 0).all()
    # One gradient in every step, where candidates of labels would make five.
    assert (result.gradient_queries[there] < 15).all()


def test_where_clips_cannot_be_told_apart_the_result_is_the_same() -> None:
    net, x, labels = digits()
    x, labels = x[:10], labels[:10].clone()
    labels[0] = (labels[0] + 1) % 10
    apart = DeepFool(L2(math.inf), CrossEntropy(), steps=10)(net, x, labels)
    inside = nn.Sequential(nn.Identity(), net)
    view = View(perturb_at="0")
    whole = DeepFool(L2(math.inf), CrossEntropy(), steps=10, view=view)(inside, x, labels)
    torch.testing.assert_close(whole.size, apart.size)
    assert apart.size[0] == 0
    assert apart.gradient_queries[0] == 0
    assert (whole.gradient_queries == apart.gradient_queries.max()).all()


def test_a_cap_and_a_model_without_gradient() -> None:
    net, x, labels = digits()
    free = DeepFool(L2(math.inf), CrossEntropy(), steps=10)(net, x[:20], labels[:20])
    cap = float(free.size.median())
    capped = DeepFool(L2(cap), CrossEntropy(), steps=10)(net, x[:20], labels[:20])
    assert (capped.size <= cap * (1 + 1e-6)).all()
    assert (capped.size[~capped.success] == 0).all()
    flat = DeepFool(L2(math.inf), AbsoluteError(), steps=3)
    result = flat(lambda z: 0 * z[:, :2], torch.randn(3, 5), torch.zeros(3, 2))
    assert not result.success.any()
    assert (result.size == 0).all()


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="candidate"):
        DeepFool(L2(), candidates=0)
    with pytest.raises(ValueError, match="overshoot"):
        DeepFool(L2(), overshoot=-1)
    assert issubclass(DeepFool, MinimalNorm)
