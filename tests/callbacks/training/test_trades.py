"""TRADES and weight perturbation against loops written by hand, and the published oracle."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from steadyear.attacks import FGSM, PGD, Linf
from steadyear.callbacks import (
    TRADES,
    AdditionalStep,
    AdversarialTraining,
    AdversarialWeightPerturbation,
    BernoulliKL,
    HardTargets,
    SoftmaxKL,
    SoftTargets,
    SquaredChange,
)
from tests.callbacks import foreign_modules as foreign

ATTACK = FGSM(Linf(0.3))


def attacked(module, x, y):
    point = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.mse_loss(module(point), y), point)
    return x + 0.3 * gradient.sign()


def total(module, x, adversarial, y, beta):
    clean = module(x)
    return F.mse_loss(clean, y) + beta * F.mse_loss(module(adversarial), clean)


def perturbed(module, loss, gamma):
    """Names and changes of the tensors that the published rule moves."""
    chosen = {n: p for n, p in module.named_parameters() if "weight" in n and p.ndim > 1}
    gradients = torch.autograd.grad(loss, list(chosen.values()))
    return {
        n: gamma * p.detach().norm() * g / g.norm()
        for (n, p), g in zip(chosen.items(), gradients, strict=True)
    }


def by_hand(beta, gamma=None, warmup=0, epochs=2, window=1):
    module = foreign.seeded(foreign.Foreign)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    batches = list(foreign.loader())
    for epoch in range(epochs):
        for i in range(0, len(batches), window):
            optimizer.zero_grad()
            for x, y in batches[i : i + window]:
                adversarial = attacked(module, x, y)
                moves = {}
                if gamma is not None and epoch >= warmup:
                    moves = perturbed(module, total(module, x, adversarial, y, beta), gamma)
                there = copy.deepcopy(module)
                for name, parameter in there.named_parameters():
                    parameter.data += moves.get(name, 0.0)
                there.zero_grad()
                (total(there, x, adversarial, y, beta) / window).backward()
                for own, other in zip(module.parameters(), there.parameters(), strict=True):
                    own.grad = other.grad if own.grad is None else own.grad + other.grad
            optimizer.step()
    return module


def with_callback(tmp_path, beta, module=None, weights=None, **settings):
    module = module or foreign.seeded(foreign.Foreign)
    callback = AdversarialTraining(
        ATTACK, TRADES(SquaredChange(), beta), weight_perturbation=weights
    )
    foreign.trainer(tmp_path, callback, **settings).fit(module, foreign.loader())
    return module


def assert_same(module, other):
    torch.testing.assert_close(foreign.weights(module), foreign.weights(other), atol=1e-6, rtol=0)


@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_trades_equals_the_loop_by_hand(tmp_path, beta):
    assert_same(with_callback(tmp_path, beta), by_hand(beta))


def test_weight_perturbation_equals_the_loop_by_hand(tmp_path):
    ours = with_callback(tmp_path, 2.0, weights=AdversarialWeightPerturbation(0.1))
    assert_same(ours, by_hand(2.0, gamma=0.1))
    assert (foreign.weights(ours) - foreign.weights(by_hand(2.0))).abs().max() > 1e-3


def test_weight_perturbation_begins_after_its_warmup(tmp_path):
    weights = AdversarialWeightPerturbation(0.1, warmup_epochs=1)
    ours = with_callback(tmp_path, 2.0, weights=weights, max_epochs=3)
    assert_same(ours, by_hand(2.0, gamma=0.1, warmup=1, epochs=3))


def test_weight_perturbation_with_accumulated_gradients(tmp_path):
    weights = AdversarialWeightPerturbation(0.1)
    ours = with_callback(tmp_path, 2.0, weights=weights, accumulate_grad_batches=2)
    assert_same(ours, by_hand(2.0, gamma=0.1, window=2))


class Recording(foreign.Noisy):
    """Counts its logged values, and what the optimiser sees."""

    def __init__(self):
        super().__init__()
        self.logged: list[str] = []
        self.weights_at_step: list[torch.Tensor] = []
        self.clean_weights: list[torch.Tensor] = []

    def log(self, name, *args, **kwargs):
        self.logged.append(name)
        super().log(name, *args, **kwargs)

    def on_train_batch_start(self, batch, batch_idx):
        self.clean_weights.append(foreign.weights(self))

    def on_before_optimizer_step(self, optimizer):
        self.weights_at_step.append(foreign.weights(self))


def test_training_step_is_logged_once_and_weights_are_back_before_the_step(tmp_path):
    module = foreign.seeded(Recording)
    weights = AdversarialWeightPerturbation(0.1)
    with_callback(tmp_path, 1.0, module, weights, max_epochs=1)
    batches = len(foreign.loader())
    assert module.logged.count("train/loss") == batches
    assert module.logged.count("train/robust_term") == batches
    for before, at_step in zip(module.clean_weights, module.weights_at_step, strict=True):
        assert torch.equal(before, at_step)
    batch_norm = module.net[1]
    # Each batch passes clean and attacked; the dry_run leaves no trace.
    assert int(batch_norm.num_batches_tracked) == 2 * batches


class Breaking(foreign.Foreign):
    def backward(self, loss, *args, **kwargs):
        raise RuntimeError("out of memory")


def test_weights_are_back_after_an_exception(tmp_path):
    module = foreign.seeded(Breaking)
    before = foreign.weights(module)
    with pytest.raises(RuntimeError, match="out of memory"):
        with_callback(tmp_path, 1.0, module, AdversarialWeightPerturbation(0.1))
    assert torch.equal(foreign.weights(module), before)


def test_weight_perturbation_works_with_every_recipe(tmp_path):
    weights = AdversarialWeightPerturbation(0.1)
    for recipe in (None, AdditionalStep(1)):
        module = foreign.seeded(foreign.Foreign)
        callback = AdversarialTraining(ATTACK, recipe, weight_perturbation=weights)
        foreign.trainer(tmp_path, callback).fit(module, foreign.loader())
        plain = foreign.seeded(foreign.Foreign)
        callback = AdversarialTraining(ATTACK, recipe)
        foreign.trainer(tmp_path, callback).fit(plain, foreign.loader())
        assert (foreign.weights(module) - foreign.weights(plain)).abs().max() > 1e-4


def test_perturbation_equals_the_published_proxy(shared_data):
    oracle = np.load(shared_data / "reference" / "trades_awp.npz")
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 8),
        nn.ReLU(),
        nn.Linear(8, 5),
    ).double()
    state = {n: torch.from_numpy(oracle[f"before.{n}"]) for n, _ in net.named_parameters()}
    net.load_state_dict(state)
    clean, adversarial = (torch.from_numpy(oracle[f"inputs_{k}"]) for k in ("clean", "adv"))
    output, targets = net(clean), torch.from_numpy(oracle["targets"])
    term = SoftmaxKL()(net(adversarial), output, targets)
    loss = F.cross_entropy(output, targets) + float(oracle["beta"]) * term
    weights = AdversarialWeightPerturbation(float(oracle["gamma"]))
    weights.perturb(net, loss)
    for name, parameter in net.named_parameters():
        expected = torch.from_numpy(oracle[f"perturbed.{name}"])
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-10, atol=1e-14)
    weights.restore()
    assert all(torch.equal(p, state[n]) for n, p in net.named_parameters())


def test_patterns_choose_tensors():
    module = nn.Module()
    module.prototype_vectors = nn.Parameter(torch.ones(3, 2, 1, 1))
    module.weight = nn.Parameter(torch.ones(3, 2))
    module.bias_weight = nn.Parameter(torch.ones(3))
    module.frozen_weight = nn.Parameter(torch.ones(3, 2), requires_grad=False)
    assert AdversarialWeightPerturbation().chosen(module) == [module.weight]
    both = AdversarialWeightPerturbation(include=["weight", "prototype_vectors"])
    assert len(both.chosen(module)) == 2
    with pytest.raises(ValueError, match="change include"):
        AdversarialWeightPerturbation(include=["kernel"]).chosen(module)
    with pytest.raises(ValueError, match="gamma"):
        AdversarialWeightPerturbation(0.0)


def test_gradients_that_are_not_finite_stop_training():
    module = nn.Linear(2, 2)
    loss = module(torch.full((1, 2), torch.inf)).sum()
    with pytest.raises(FloatingPointError, match="not finite"):
        AdversarialWeightPerturbation().perturb(module, loss)


def test_robust_terms_have_their_closed_forms():
    torch.manual_seed(0)
    clean, other, target = torch.randn(4, 3), torch.randn(4, 3), torch.ones(4, 3)
    p, q = (torch.distributions.Bernoulli(logits=x) for x in (clean, other))
    expected = torch.distributions.kl_divergence(p, q).mean()
    torch.testing.assert_close(BernoulliKL()(other, clean, target), expected)
    p, q = (torch.distributions.Categorical(logits=x) for x in (clean, other))
    expected = torch.distributions.kl_divergence(p, q).mean()
    torch.testing.assert_close(SoftmaxKL()(other, clean, target), expected)
    bce = F.binary_cross_entropy_with_logits
    soft = SoftTargets(bce)(other, clean, target)
    torch.testing.assert_close(soft, bce(other, clean.sigmoid()))
    torch.testing.assert_close(HardTargets(bce)(other, clean, target), bce(other, target))
    assert SquaredChange()(clean, clean, target) == 0


def test_soft_targets_may_be_held_fixed():
    clean = torch.randn(4, 3, requires_grad=True)
    other = torch.randn(4, 3, requires_grad=True)
    bce = F.binary_cross_entropy_with_logits
    SoftTargets(bce, detach=True)(other, clean, torch.ones(4, 3)).backward()
    assert clean.grad is None
    SoftTargets(bce)(other, clean, torch.ones(4, 3)).backward()
    assert clean.grad is not None


class WithoutForward(foreign.Foreign):
    def training_step(self, batch, batch_idx):
        return F.mse_loss(self.net(batch[0]), batch[1])


def test_a_module_that_does_not_call_itself_is_refused(tmp_path):
    with pytest.raises(TypeError, match="did not"):
        with_callback(tmp_path, 1.0, foreign.seeded(WithoutForward))


class WithMappingLoss(foreign.Foreign):
    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch, batch_idx), "more": 1}


def test_a_step_may_return_a_mapping(tmp_path):
    assert_same(with_callback(tmp_path, 2.0, foreign.seeded(WithMappingLoss)), by_hand(2.0))


def test_a_killed_run_repeats_the_attacks(tmp_path):
    """The attack is made once per batch, from the batch's own random numbers."""
    attack = PGD(Linf(0.3), steps=2)
    modules = []
    for weights in (None, AdversarialWeightPerturbation(1e-12)):
        module = foreign.seeded(foreign.Foreign)
        callback = AdversarialTraining(
            attack, TRADES(SquaredChange(), 1.0), weight_perturbation=weights
        )
        foreign.trainer(tmp_path, callback).fit(module, foreign.loader())
        modules.append(module)
    assert_same(*modules)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        TRADES(beta=-1.0)
