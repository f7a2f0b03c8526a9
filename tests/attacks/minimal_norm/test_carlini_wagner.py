"""Carlini and Wagner's attack: closed forms, foolbox, and the promises of minimal-norm attacks."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from steadyear.attacks import L2, AbsoluteError, CrossEntropy, Linf, MinimalNorm, OutputLoss
from steadyear.attacks.minimal_norm.carlini_wagner import CarliniWagner
from tests.attacks.small_classifier import digits, linear, norms


@pytest.mark.parametrize("given", [True, False])
def test_the_norm_of_a_linear_model_is_the_change_over_the_norm_of_its_weight(given) -> None:
    """Without a target the gradient is zero at the clean clip, and a random step shows the way."""
    model, x, target = linear()
    attack = CarliniWagner(L2(math.inf), AbsoluteError(tolerance=0.3), steps=60)
    result = attack(model, x, target if given else None)
    expected = 0.3 / model.weight.detach().norm()
    assert result.success.all()
    assert (result.size >= expected * (1 - 1e-9)).all()
    torch.testing.assert_close(result.size, expected.expand(6), rtol=5e-3, atol=0)
    assert (result.gradient_queries == 6 * 60 + 2).all()
    assert (result.forward_queries == 10).all()


def test_norms_scale_with_the_input() -> None:
    model, x, target = linear()
    attack = CarliniWagner(L2(math.inf), AbsoluteError(), steps=20)
    small, large = (attack(lambda z, s=s: model(z / s), s * x, target) for s in (1, 1000))
    torch.testing.assert_close(large.size, 1000 * small.size, rtol=1e-5, atol=0)


def test_flips_the_nearest_label_of_a_multilabel_model() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(30, 5).double(), torch.randn(8, 30, dtype=torch.float64)
    result = CarliniWagner(L2(math.inf), OutputLoss(), steps=60)(model, x, (model(x) > 0).double())
    logits, weights = model(x).detach().abs(), model.weight.detach().norm(dim=1)
    assert result.success.all()
    # The margin follows the label with the smallest logit first, which may not be the nearest.
    assert (result.size >= (logits / weights).amin(1) * (1 - 1e-9)).all()
    assert result.size.median() <= 1.05 * (logits / weights).amin(1).median()


def test_median_norm_is_at_most_that_of_foolbox() -> None:
    foolbox = importlib.import_module("foolbox")
    net, x, labels = digits()
    x, labels = x[:20], labels[:20]
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=4, steps=50, initial_const=0.1, abort_early=False
    )
    found = theirs.run(model, x, foolbox.criteria.Misclassification(labels))
    flipped = net(found).argmax(1) != labels
    attack = CarliniWagner(L2(math.inf), CrossEntropy(), steps=50, searches=4, bounds=(0.0, 1.0))
    result = attack(net, x, labels)
    assert result.success.all()
    assert flipped.float().mean() > 0.8
    assert result.adversarial.min() >= 0
    assert result.adversarial.max() <= 1
    assert result.size[flipped].median() <= 1.01 * norms(found - x, 2)[flipped].median()


def test_a_cap_and_clips_that_are_lost_before() -> None:
    net, x, labels = digits()
    x, labels = x[:20], labels[:20].clone()
    labels[::2] = (labels[::2] + 1) % 10
    free = CarliniWagner(L2(math.inf), CrossEntropy(), steps=20, searches=2)(net, x, labels)
    assert free.success.all()
    assert torch.equal(free.size == 0, torch.arange(20) % 2 == 0)
    cap = float(free.size[1::2].median())
    capped = CarliniWagner(L2(cap), CrossEntropy(), steps=20, searches=2)(net, x, labels)
    assert (capped.size <= cap * (1 + 1e-6)).all()
    assert (capped.size[~capped.success] == 0).all()
    assert capped.success[free.size < 0.98 * cap].all()


def test_a_model_without_gradient_is_not_flipped() -> None:
    attack = CarliniWagner(L2(math.inf), AbsoluteError(), steps=3, searches=2)
    result = attack(lambda z: 0 * z[:, :2], torch.randn(3, 5), torch.zeros(3, 2))
    assert not result.success.any()
    assert (result.size == 0).all()


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(TypeError, match="use FMN"):
        CarliniWagner(Linf())
    with pytest.raises(ValueError, match="constant"):
        CarliniWagner(L2(), searches=0)
    assert issubclass(CarliniWagner, MinimalNorm)
