"""EOT: attacks on models that draw random numbers in evaluation mode."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    BIM,
    FMN,
    L2,
    PGD,
    AbsoluteError,
    AudioAutoAttack,
    Linf,
    Shift,
    Square,
    View,
    WorstOf,
)
from steadyear.attacks.ensembles.eot import EOT


class Noisy(nn.Module):
    """A linear model whose weights are noise around their mean."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(30, 1, generator=generator))
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight + self.noise * torch.randn_like(self.weight))


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 30, generator=generator), torch.zeros(8, 1)


def gained(model: Noisy, perturbation: Tensor) -> Tensor:
    """What a perturbation adds to the mean output, as a share of the most that is possible."""
    most = 0.1 * model.weight.detach().abs().sum()
    return ((perturbation @ model.weight.detach())[:, 0] / most).mean()


def test_more_draws_find_the_expected_gradient(clips) -> None:
    model, (x, target) = Noisy(3.0), clips
    one, many = (
        EOT(BIM(Linf(0.1), Shift(), steps=1, keep_best=False), samples)(model, x, target)
        for samples in (1, 100)
    )
    assert gained(model, many.perturbation) > gained(model, one.perturbation) + 0.25
    assert gained(model, many.perturbation) > 0.9
    assert (many.gradient_queries == 100).all()


def test_the_gradient_is_the_mean_over_the_draws(clips) -> None:
    """With one linear model the sign of the mean gradient is known in closed form."""
    model, (x, target) = Noisy(0.5), clips
    attack = EOT(BIM(Linf(0.1), Shift(), steps=1, relative_step=1.0, keep_best=False), 4)
    found = attack(model, x, target).perturbation
    with torch.random.fork_rng():
        torch.manual_seed(attack.seed)
        model(x)  # the clean clips
        weights = [model.weight + 0.5 * torch.randn_like(model.weight) for _ in range(4)]
    expected = 0.1 * torch.stack(weights).mean(0).sign()[:, 0]
    torch.testing.assert_close(found, expected.expand(8, 30), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inner", [PGD, APGD, Square])
def test_a_model_without_noise_is_attacked_as_by_the_inner_attack(inner, clips) -> None:
    model, (x, target) = Noisy(0.0), clips
    more = {"queries": 20} if inner is Square else {"steps": 4}
    attack = inner(L2(0.3), AbsoluteError(), **more)
    index = torch.arange(8)
    plain = attack(model, x, target, index=index)
    mean = EOT(attack, 3)(model, x, target, index=index)
    torch.testing.assert_close(mean.adversarial, plain.adversarial, rtol=1e-4, atol=1e-5)
    assert torch.equal(mean.gradient_queries, 3 * plain.gradient_queries)
    assert torch.equal(mean.forward_queries, 3 * plain.forward_queries)


@pytest.mark.parametrize("until_success", [False, True])
def test_every_start_of_several_asks_for_means(clips, until_success) -> None:
    model, (x, target) = Noisy(1.0), clips
    inner = PGD(Linf(0.1), Shift(tolerance=1e6), steps=3, restarts=2, until_success=until_success)
    result = EOT(inner, 5)(model, x, target)
    assert (result.gradient_queries == 5 * 2 * 3).all()
    assert (result.forward_queries == 5 * 2).all()


def test_is_deterministic_and_leaves_the_global_state_alone(clips) -> None:
    model, (x, target) = Noisy(1.0), clips
    attack = EOT(PGD(Linf(0.1), steps=3, seed=5), 4)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = attack(model, x, target)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = attack(model, x, target)
    assert torch.equal(first.adversarial, again.adversarial)
    assert torch.equal(first.output, again.output)
    other = EOT(PGD(Linf(0.1), steps=3, seed=6), 4)(model, x, target)
    assert not torch.equal(first.output, other.output)


def test_the_state_is_restored_after_an_error(clips) -> None:
    def broken(x: Tensor) -> Tensor:
        torch.randn(3)
        raise RuntimeError("broken")

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        EOT(PGD(Linf(0.1)))(broken, *clips)
    assert torch.equal(torch.get_rng_state(), state)


def test_another_budget_reaches_the_inner_attack(clips) -> None:
    attack = EOT(PGD(Linf(0.1), steps=2), 2)
    result = attack.at(0.02)(Noisy(0.0), *clips)
    torch.testing.assert_close(result.size, torch.full((8,), 0.02), rtol=1e-4, atol=0)
    assert attack.attack.ball.eps == 0.1


def test_perturbs_inside_the_model(clips) -> None:
    x, target = clips
    model = nn.Sequential(nn.Tanh(), Noisy(0.0))
    result = EOT(PGD(Linf(0.1), steps=2, view=View(perturb_at="0")), 2)(model, x, target)
    torch.testing.assert_close(result.adversarial, x.tanh() + result.perturbation)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one draw"):
        EOT(PGD(Linf(0.1)), 0)
    for attack in (FMN(L2()), AudioAutoAttack(L2(0.1)), WorstOf([PGD(L2(0.1))])):
        with pytest.raises(TypeError, match="spends a budget"):
            EOT(attack)
