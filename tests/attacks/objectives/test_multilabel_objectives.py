"""Objectives of multi-label tasks and of embeddings: values, aims, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss
from torch import nn

from steadyear.attacks import (
    FGSM,
    PGD,
    EmbeddingDissimilarity,
    Linf,
    OutputLoss,
    PrototypeActivation,
    View,
    linf_norm,
)


@pytest.fixture
def case():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5))
    return net, torch.randn(6, 1, 6, 6), (torch.rand(6, 5) > 0.6).float()


def test_output_loss_is_the_sum_over_labels(case):
    net, x, target = case
    logits = net(x).detach().double()
    expected = [
        sum(log_loss([t], [p], labels=[0, 1]) for t, p in zip(ts, ps, strict=True))
        for ts, ps in zip(target.numpy(), logits.sigmoid().numpy(), strict=True)
    ]
    np.testing.assert_allclose(OutputLoss()(logits, target), expected, rtol=1e-9)


def test_a_loss_of_the_user_per_clip_or_per_label(case):
    net, x, target = case
    logits = net(x).detach()
    per_label = OutputLoss(lambda a, b: (a - b).square())(logits, target)
    per_clip = OutputLoss(lambda a, b: (a - b).square().sum(1))(logits, target)
    torch.testing.assert_close(per_label, per_clip)
    with pytest.raises(ValueError, match="one loss per clip"):
        OutputLoss(F.binary_cross_entropy_with_logits)(logits, target)


@pytest.mark.parametrize("wrong", [torch.zeros(6), torch.zeros(6, 4), torch.full((6, 5), 2.0)])
def test_targets_that_are_not_multi_hot_are_refused(case, wrong):
    net, x, _ = case
    with pytest.raises(ValueError, match="targets from 0 to 1"):
        FGSM(Linf(0.1), OutputLoss())(net, x, wrong)


def test_success_is_a_changed_decision(case):
    net, x, target = case
    result = PGD(Linf(0.3), OutputLoss(), steps=5)(net, x, target)
    changed = ((result.output > 0) != (result.clean_output > 0)).any(1)
    assert torch.equal(result.success, changed)
    assert changed.any()
    assert (result.objective > result.clean_objective).all()
    small = PGD(Linf(1e-6), OutputLoss(), steps=5)(net, x, target)
    assert not small.success.any()


def by_position(a, b):
    """One minus the cosine at every position, averaged, written with NumPy."""
    a, b = a.detach().double().numpy(), b.detach().double().numpy()
    cosine = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return 1 - cosine.reshape(len(a), -1).mean(1)


@pytest.mark.parametrize("shape", [(3, 7), (3, 7, 4), (3, 7, 2, 5)])
def test_dissimilarity_is_spatial_wise(shape):
    torch.manual_seed(1)
    a, b = torch.randn(shape), torch.randn(shape)
    found = EmbeddingDissimilarity()(a, b)
    np.testing.assert_allclose(found, by_position(a, b), rtol=1e-5)
    assert EmbeddingDissimilarity()(a, a).abs().max() < 1e-6
    torch.testing.assert_close(
        EmbeddingDissimilarity()(a, 3 * a), torch.zeros(3), atol=1e-6, rtol=0
    )


def test_the_embedding_attack_asks_for_no_label(case):
    net, x, target = case
    attack = PGD(Linf(0.3), EmbeddingDissimilarity(), steps=5, view=View(read_at="1"))
    result = attack(net, x, target)
    unlabelled = attack(net, x)
    torch.testing.assert_close(result.adversarial, unlabelled.adversarial, rtol=0, atol=0)
    assert (linf_norm(result.perturbation) <= 0.3 * (1 + 1e-6)).all()
    reached = by_position(net[:2](result.adversarial), net[:2](x))
    np.testing.assert_allclose(result.objective, reached, rtol=1e-4)
    torch.manual_seed(2)
    noise = by_position(net[:2](x + 0.3 * torch.randn_like(x).sign()), net[:2](x))
    assert (reached > noise).all()


def test_the_embedding_attack_needs_a_random_start(case):
    net, x, _ = case
    with pytest.raises(ValueError, match="random_start"):
        FGSM(Linf(0.3), EmbeddingDissimilarity(), view=View(read_at="1"))(net, x)
    one_step = PGD(
        Linf(0.3), EmbeddingDissimilarity(), steps=1, relative_step=1.0, view=View(read_at="1")
    )
    assert (one_step(net, x).objective > 1e-4).all()


def test_what_has_no_channels_is_refused():
    with pytest.raises(ValueError, match="channels"):
        EmbeddingDissimilarity().check(torch.zeros(3), torch.zeros(3))


class WithFields(nn.Module):
    """Says more than its prediction."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return {"prediction": self.net(x), "embedding": self.net[:2](x)}


def test_a_field_of_the_output_is_read_as_the_submodule_that_makes_it(case):
    net, x, _ = case
    by_field = PGD(Linf(0.3), EmbeddingDissimilarity(), steps=3, view=View(field="embedding"))
    by_name = PGD(Linf(0.3), EmbeddingDissimilarity(), steps=3, view=View(read_at="1"))
    result = by_field(WithFields(net), x)
    torch.testing.assert_close(result.adversarial, by_name(net, x).adversarial)
    torch.testing.assert_close(result.output["prediction"], net(result.adversarial))
    with pytest.raises(TypeError, match="named 'concepts'"):
        PGD(Linf(0.3), view=View(field="concepts"))(WithFields(net), x)
    with pytest.raises(ValueError, match="not both"):
        View(read_at="1", field="embedding")


@pytest.mark.parametrize("hide", [False, True])
def test_prototypes_are_activated_or_hidden(case, hide):
    net, x, target = case
    objective = PrototypeActivation([1, 3], hide)
    result = PGD(Linf(0.2), objective, steps=5)(net, x, target)
    change = (result.output - result.clean_output)[:, [1, 3]].mean(1)
    change = -change if hide else change
    assert (change > 0).all()
    assert torch.equal(result.success, change > 0.1)
    torch.testing.assert_close(result.objective - result.clean_objective, change)


def test_prototypes_that_do_not_exist_are_refused(case):
    net, x, _ = case
    with pytest.raises(ValueError, match="prototype 7"):
        PGD(Linf(0.2), PrototypeActivation([7]))(net, x)
    with pytest.raises(ValueError, match="numbers of prototypes"):
        PrototypeActivation([])
