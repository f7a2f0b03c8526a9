"""The MER study's attack equals a plain loop over clips, written from its description."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import Tensor, nn

from steadyear.attacks import PGD, Linf, Noise, SignAdam, Unbounded, View, output_correlation

STEPS, RATE = 60, 0.02


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    x = torch.randn(6, 1, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        target = model(x) + 0.3 * torch.randn(6, 4, dtype=torch.float64)
    return model, x, target


def one_clip(model: nn.Module, x: Tensor, target: Tensor, lowest: float) -> tuple[Tensor, int]:
    """Perturbation of one clip and the number of looks at the model."""
    delta = torch.zeros_like(x, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=RATE)
    kept, threshold = torch.zeros_like(x), None
    for step in range(STEPS + 1):
        prediction = model(x + delta)
        correlation = pearsonr(prediction[0].detach().numpy(), target[0].numpy()).statistic
        if threshold is None:
            threshold = math.ceil(10 * correlation)
        if correlation <= threshold / 10:
            kept = delta.detach().clone()
            threshold -= 1
        if threshold / 10 < lowest or step == STEPS:
            return kept, step + 1
        loss = -((prediction - target) ** 2).mean()
        adam.zero_grad()
        (gradient,) = torch.autograd.grad(loss, delta)
        delta.grad = gradient.sign()
        adam.step()
    raise AssertionError


@pytest.mark.parametrize("lowest", [-0.9, 0.5])
def test_equals_the_loop_over_clips(case, lowest):
    model, x, target = case
    result = SignAdam(steps=STEPS, learning_rate=RATE, lowest=lowest)(model, x, target)
    looks = []
    for i in range(len(x)):
        kept, number = one_clip(model, x[[i]], target[[i]], lowest)
        torch.testing.assert_close(result.perturbation[[i]], kept, atol=1e-9, rtol=0)
        looks.append(number)
    assert result.gradient_queries.tolist() == looks
    assert (min(looks) < STEPS) == (lowest == 0.5)  # clips that are done leave the batch
    assert (result.size > 0).any()


def test_prediction_belongs_to_the_perturbation(case):
    model, x, target = case
    result = SignAdam(steps=STEPS, learning_rate=RATE)(model, x, target)
    with torch.no_grad():
        torch.testing.assert_close(result.output, model(x + result.perturbation))
    assert (output_correlation(result.output, target) < output_correlation(model(x), target)).any()


def test_does_not_depend_on_the_batch(case):
    model, x, target = case
    attack = SignAdam(steps=STEPS, learning_rate=RATE, lowest=0.5)
    together = attack(model, x, target).perturbation
    order = torch.tensor([4, 0, 5])
    torch.testing.assert_close(attack(model, x[order], target[order]).perturbation, together[order])


def test_bounds_hold_when_clips_leave_the_batch(case):
    model, x, target = case
    bounds = (float(x.min()) - 0.1, float(x.max()) + 0.1)
    attack = SignAdam(steps=STEPS, learning_rate=RATE, lowest=0.5, bounds=bounds)
    result = attack(model, x, target)
    assert result.gradient_queries.unique().numel() > 1
    assert result.adversarial.min() >= bounds[0]
    assert result.adversarial.max() <= bounds[1]


def test_perturbed_submodule_keeps_the_whole_batch(case):
    model, x, target = case
    attack = SignAdam(steps=STEPS, learning_rate=RATE, lowest=0.5)
    inside = SignAdam(steps=STEPS, learning_rate=RATE, lowest=0.5, view=View(perturb_at="0"))
    # The submodule flattens and nothing else: the same numbers in another shape.
    expected = attack(model, x, target).perturbation.flatten(1)
    torch.testing.assert_close(inside(model, x, target).perturbation, expected)


def test_leaves_the_model_and_the_random_state_untouched(case):
    model, x, target = case
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    SignAdam(steps=3)(model.train(), x, target)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_correlation_over_outputs_equals_scipy():
    p, t = torch.randn(5, 8), torch.randn(5, 8)
    expected = [pearsonr(a, b).statistic for a, b in zip(p.numpy(), t.numpy(), strict=True)]
    np.testing.assert_allclose(output_correlation(p, t), expected, atol=1e-6)
    with pytest.raises(ValueError, match="at least two outputs"):
        output_correlation(torch.zeros(3, 1), torch.zeros(3, 1))


def test_unbounded_has_no_budget_to_start_in(case):
    model, x, target = case
    assert math.isinf(Unbounded().at(0.1).eps)
    assert PGD(Linf(0.1)).at(0.2).ball.eps == 0.2
    for attack in (PGD(Unbounded()), Noise(Unbounded())):
        with pytest.raises(ValueError, match="budget"):
            attack(model, x, target)
    with pytest.raises(ValueError, match="one step"):
        SignAdam(steps=0)
