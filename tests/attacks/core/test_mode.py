"""An attack leaves no trace: in the model, in the random state, in the modes of torch."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import BIM, FGSM, L2, PGD, Linf, Noise, SquaredError, View, attack_mode

ATTACKS = {
    "pgd": lambda **more: PGD(Linf(0.1), steps=3, restarts=2, **more),
    "bim": lambda **more: BIM(L2(0.1), steps=3, **more),
    "fgsm": lambda **more: FGSM(Linf(0.1), **more),
    "noise": lambda **more: Noise(L2(0.1), tries=2, **more),
}
CONTEXTS = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}
VIEWS = {
    "input": View(),
    "inside": View(perturb_at="front"),
    "read": View(perturb_at="front", read_at="head"),
}


class Net(nn.Module):
    """Has everything that an attack could spoil; fails on request at a given forward pass."""

    def __init__(self, failure: BaseException | None = None, fails_at: int = 0) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)
        self.failure, self.fails_at, self.calls = failure, fails_at, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        features = self.front(x).tanh().mean(2)
        if self.calls == self.fails_at and self.failure is not None:
            raise self.failure
        return self.head(features)


def prepared(**more: Any) -> tuple[Net, Tensor, Tensor]:
    torch.manual_seed(0)
    net = Net(**more)
    x, target = torch.randn(3, 1, 16), torch.randn(3, 2)
    net.front(x)
    net.front[1].eval()
    net.front[0].bias.requires_grad_(False)
    net.head.weight.grad = torch.randn(2, 4)
    net.front.register_forward_hook(lambda *_: None)
    return net, x, target


def state(net: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": np.random.get_state()[1].tobytes() + bytes([np.random.get_state()[2] % 256]),
        "python": random.getstate(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "cudnn": torch.backends.cudnn.enabled,
    }
    for name, module in net.named_modules():
        found[f"training {name}"] = module.training
        found[f"hooks {name}"] = (*module._forward_hooks, *module._forward_pre_hooks)
    for name, parameter in net.named_parameters():
        grad = parameter.grad
        found[f"requires_grad {name}"] = parameter.requires_grad
        found[f"grad {name}"] = None if grad is None else grad.tolist()
    found["values"] = {name: value.tolist() for name, value in net.state_dict().items()}
    return found


class FailingError(SquaredError):
    """Fails in its second evaluation."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure, self.calls = failure, 0

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 2:
            raise self.failure
        return super().__call__(prediction, target)


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
def test_leaves_no_trace(make, view, context) -> None:
    net, x, target = prepared()
    with context():
        before = state(net)
        result = make(view=view)(net, x, target)
        assert state(net) == before
    assert (result.size > 0).all()


@pytest.mark.parametrize("failure", [RuntimeError("model"), KeyboardInterrupt()], ids=type)
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
def test_leaves_no_trace_when_the_model_fails(make, view, context, failure) -> None:
    net, x, target = prepared(failure=failure, fails_at=2)
    with context():
        before = state(net)
        with pytest.raises(type(failure)):
            make(view=view)(net, x, target)
        assert state(net) == before


@pytest.mark.parametrize("failure", [RuntimeError("objective"), KeyboardInterrupt()], ids=type)
@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
def test_leaves_no_trace_when_the_objective_fails(make, failure) -> None:
    net, x, target = prepared()
    before = state(net)
    attack = make(view=VIEWS["inside"], objective=FailingError(failure))
    with pytest.raises(type(failure)):
        attack(net, x, target)
    assert state(net) == before


def test_leaves_its_arguments_alone() -> None:
    net, x, target = prepared()
    x.requires_grad_()
    kept = x.detach().clone(), target.clone()
    result = PGD(Linf(0.1))(net, x, target)
    assert torch.equal(x, kept[0])
    assert torch.equal(target, kept[1])
    assert x.requires_grad
    assert x.grad is None
    assert not result.adversarial.requires_grad


class InPlace(nn.Module):
    """Centres its input in place, as many a model does."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.in_place, self.front, self.head = in_place, nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.sub_(1) if self.in_place else x - 1
        return self.head(self.front(x))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)
def test_models_may_work_in_place(make, view) -> None:
    x, target = torch.randn(3, 6), torch.randn(3, 2)
    kept = x.clone()
    result, expected = (make(view=view)(InPlace(place), x, target) for place in (True, False))
    assert torch.equal(x, kept)
    assert torch.equal(result.adversarial, expected.adversarial)
    assert torch.equal(result.perturbation, expected.perturbation)
    assert torch.equal(result.objective, expected.objective)


@pytest.mark.parametrize("device", ["cpu"])
def test_mode_is_eval_frozen_and_differentiable(device) -> None:
    net, x, _ = prepared()
    with (
        torch.inference_mode(),
        torch.autocast(device, torch.bfloat16),
        attack_mode(net, torch.device(device)),
    ):
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert net(x).dtype == torch.float32


@pytest.mark.parametrize("recurrent", [True, False])
def test_recurrent_layers_avoid_cudnn(recurrent) -> None:
    net = nn.Sequential(nn.GRU(4, 3) if recurrent else nn.Linear(4, 3))
    with attack_mode(net, torch.device("cpu")):
        assert torch.backends.cudnn.enabled is not recurrent
    assert torch.backends.cudnn.enabled


def test_dropout_is_off_and_batchnorm_reads_its_statistics() -> None:
    net, x, target = prepared()
    net.train()
    result = PGD(Linf(0.1))(net, x, target)
    net.eval()
    with torch.no_grad():
        assert torch.equal(result.clean_output, net(x))
        assert torch.equal(result.output, net(result.adversarial))


def test_a_training_loop_keeps_its_gradients() -> None:
    """Attacking between two backward passes changes nothing of what they accumulate."""
    grads = []
    for attacked in (False, True):
        net, x, target = prepared()
        net.eval()
        net(x).sum().backward()
        if attacked:
            PGD(Linf(0.1))(net, x, target)
        net(x).square().sum().backward()
        grads.append([p.grad for p in net.parameters() if p.grad is not None])
    for ours, expected in zip(grads[1], grads[0], strict=True):
        assert torch.equal(ours, expected)
