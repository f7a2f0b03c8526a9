"""NES and HopSkipJump: attacks that see predictions, or decisions, only."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    L2,
    AbsoluteError,
    CrossEntropy,
    Linf,
    Margin,
    MinimalNorm,
    Noise,
    OutputLoss,
    SquaredError,
)
from steadyear.attacks.black_box.hop_skip_jump import HopSkipJump
from steadyear.attacks.black_box.nes import NES
from tests.attacks.small_classifier import digits, linear, norms

BALLS = pytest.mark.parametrize("ball", [Linf, L2])


class Step(nn.Module):
    """A model whose gradient is zero everywhere."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return (20 * self.net(x)).round() / 20


@BALLS
def test_nes_finds_the_worst_point_of_a_linear_model(ball) -> None:
    model, x, target = linear()
    attack = NES(ball(0.1), AbsoluteError(), steps=15, samples=80)
    result = attack(model, x, target, index=torch.arange(6))
    weight = model.weight[0].detach()
    gained = (result.objective - result.clean_objective) / (
        0.1 * weight.norm(p=1 if ball is Linf else 2)
    )
    # The two clips with small errors may be pushed across zero.
    assert (gained[[0, 1, 4, 5]] > 0.85).all()
    assert (gained <= 1 + 1e-6).all()


@BALLS
def test_nes_needs_no_gradient_and_counts_its_passes(ball) -> None:
    net, x, labels = digits()
    x, labels, masked = x[:20], labels[:20], Step(net)
    budget = ball(0.15 if ball is Linf else 0.8)
    calls: list[int] = []
    handle = masked.register_forward_pre_hook(lambda *_: calls.append(1))
    attack = NES(budget, Margin(), steps=8, samples=60, bounds=(0.0, 1.0))
    result = attack(masked, x, labels, index=torch.arange(20))
    handle.remove()
    assert (result.gradient_queries == 0).all()
    assert (result.forward_queries == 2 + 8 * 60).all()
    # One look at the clean clips and one at the result.
    assert len(calls) == 2 + 8 * 60 + 2
    noise = Noise(budget, Margin(), tries=482, bounds=(0.0, 1.0))
    control = noise(masked, x, labels, index=torch.arange(20))
    assert result.objective.mean() > control.objective.mean() + 0.3
    assert result.success.float().mean() > control.success.float().mean()


def test_nes_moves_a_prediction_away_from_itself_and_takes_a_start() -> None:
    model, x, _ = linear()
    result = NES(L2(0.1), SquaredError(), steps=10)(model, x)
    far = 0.1 * model.weight.detach().norm()
    assert ((result.output - result.clean_output).abs() > 0.8 * far).all()
    way = model.weight.detach().expand_as(x)
    start = 0.1 * way / way.norm(dim=1, keepdim=True)
    given = NES(L2(0.1), SquaredError(), steps=1, samples=2)(model, x, start=start)
    torch.testing.assert_close(given.objective, far.square().expand(6), rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_hop_skip_jump_is_as_near_as_foolbox_with_as_many_passes(norm) -> None:
    foolbox = importlib.import_module("foolbox")
    net, x, labels = digits()
    x, labels, asked = x[:6], labels[:6], 0

    def counted(z: Tensor) -> Tensor:
        nonlocal asked
        asked += len(z)
        return net(z)

    wrapped = nn.Module()
    wrapped.forward = counted
    model = foolbox.PyTorchModel(wrapped.eval(), bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.HopSkipJumpAttack(
        steps=5, initial_gradient_eval_steps=50, constraint=norm
    )
    torch.manual_seed(0)
    # Clip by clip: in a batch its gradients are divided by the norm of all of them together.
    found = torch.cat(
        [
            theirs.run(model, x[i : i + 1], foolbox.criteria.Misclassification(labels[i : i + 1]))
            for i in range(len(x))
        ]
    )
    ball, p = (L2, 2) if norm == "l2" else (Linf, math.inf)
    attack = HopSkipJump(ball(math.inf), CrossEntropy(), steps=5, probes=50, bounds=(0.0, 1.0))
    result = attack(net, x, labels, index=torch.arange(len(x)))
    assert result.success.all()
    assert result.forward_queries.float().mean() <= 1.1 * asked / len(x)
    assert (result.gradient_queries == 0).all()
    assert result.size.median() <= 1.1 * norms(found - x, p).median()


@BALLS
def test_hop_skip_jump_reaches_a_tolerance_of_a_model_without_gradient(ball) -> None:
    model, x, target = linear()
    attack = HopSkipJump(ball(math.inf), AbsoluteError(tolerance=0.3), steps=8, probes=60)
    result = attack(Step(model), x, target, index=torch.arange(6))
    plain = attack(model, x, target, index=torch.arange(6))
    least = 0.3 / model.weight[0].detach().norm(p=1 if ball is Linf else 2)
    assert plain.success.all()
    assert (plain.size >= least * (1 - 1e-9)).all()
    # Clips with small errors may find the farther one of two boundaries.
    assert (plain.size[[0, 1, 4, 5]] <= 1.2 * least).all()
    assert result.success.all()
    # Steps of 0.05 hide up to half of one.
    assert (result.size[[0, 1, 4, 5]] <= 1.2 * least * 0.35 / 0.3).all()


def test_hop_skip_jump_flips_a_label() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(30, 5).double(), torch.randn(8, 30, dtype=torch.float64)
    target = (model(x) > 0).double()
    attack = HopSkipJump(L2(math.inf), OutputLoss(), steps=8, probes=60)
    result = attack(model, x, target, index=torch.arange(8))
    distance = (model(x).detach().abs() / model.weight.detach().norm(dim=1)).amin(1)
    assert result.success.all()
    assert (result.size >= distance * (1 - 1e-9)).all()
    assert result.size.median() <= 1.5 * distance.median()


def test_hop_skip_jump_hands_lost_and_unreachable_clips_back_clean() -> None:
    net, x, labels = digits()
    x, labels = x[:6], labels[:6].clone()
    labels[0] = (labels[0] + 1) % 10
    attack = HopSkipJump(L2(1e-3), CrossEntropy(), steps=2, probes=10)
    result = attack(net, x, labels)
    assert result.success.tolist() == [True, *[False] * 5]
    assert (result.size == 0).all()


def test_hop_skip_jump_does_not_depend_on_the_batch_or_the_global_state() -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 3))

    def alone(z: Tensor) -> Tensor:
        return torch.cat([net(clip.flatten()[None]) for clip in z])

    x, index = 3 * torch.randn(5, 1, 3, 4), torch.tensor([40, 7, 2**40, 0, 13])
    attack = HopSkipJump(L2(math.inf), AbsoluteError(), steps=3, probes=20)
    state = torch.get_rng_state()
    whole = attack(alone, x, index=index)
    assert torch.equal(torch.get_rng_state(), state)
    assert whole.success.all()
    for clips in ([3], [4, 0]):
        part = attack(alone, x[clips], index=index[clips])
        torch.testing.assert_close(part.adversarial, whole.adversarial[clips], rtol=0, atol=0)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="even number"):
        NES(L2(0.1), samples=3)
    with pytest.raises(ValueError, match="probe"):
        HopSkipJump(L2(), probes=0)
    assert issubclass(HopSkipJump, MinimalNorm)
