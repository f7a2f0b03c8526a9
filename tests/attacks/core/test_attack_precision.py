"""Attacks under every mode and in every precision, on recurrent nets and plain callables."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import BIM, FGSM, L2, PGD, AttackResult, CrossEntropy, Linf, Noise, View


class Output(NamedTuple):
    prediction: Tensor
    embedding: Tensor


CONTEXTS = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 3))


def run(model, x, target, attack=None) -> AttackResult:
    attack = attack or PGD(Linf(0.1), steps=4)
    return attack(model, x, target, index=torch.arange(len(x)))


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("view", [View(), View(perturb_at="0"), View(read_at="2")], ids=str)
def test_gives_the_same_in_every_mode(context, view) -> None:
    model, x, target = small(), torch.randn(4, 12), torch.zeros(4, 3)
    attack = PGD(Linf(0.1), steps=4, view=view)
    expected = run(model, x, target, attack)
    with context():
        # Made inside: tensors of inference mode cannot enter autograd.
        found = run(model, x.clone(), target.clone(), attack)
        own = run(model, x.clone(), None, attack)
    assert torch.equal(found.adversarial, expected.adversarial)
    assert torch.equal(found.objective, expected.objective)
    assert (own.objective > 0).all()


def test_labels_of_inference_mode_enter_autograd() -> None:
    model, x = small(), torch.randn(4, 12)
    with torch.inference_mode():
        result = FGSM(Linf(0.1), CrossEntropy())(model, x.clone(), torch.tensor([0, 1, 2, 0]))
    assert (result.objective > result.clean_objective).all()


@pytest.mark.parametrize("attack", [PGD(L2(0.3)), FGSM(Linf(0.1)), Noise(L2(0.3))], ids=repr)
def test_double_precision_stays_double(attack) -> None:
    model, x = small().double(), torch.randn(4, 12, dtype=torch.float64)
    result = run(model, x, torch.zeros(4, 3, dtype=torch.float64), attack)
    for values in (result.adversarial, result.objective, result.size, result.output):
        assert values.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("own", [False, True], ids=["target", "own"])
def test_half_precision_models_get_a_single_precision_perturbation(dtype, own) -> None:
    model, x = small().to(dtype), torch.randn(4, 12).to(dtype)
    seen = []
    model.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].dtype))
    target = None if own else torch.ones(4, 3)
    result = run(model, x, target, PGD(Linf(0.1), steps=4))
    assert set(seen) == {dtype}
    for values in (result.adversarial, result.perturbation, result.objective, result.size):
        assert values.dtype == torch.float32
    assert result.output.dtype == dtype
    assert torch.equal(result.output, model(result.adversarial.to(dtype)))
    assert (result.size <= 0.1 * (1 + 1e-6)).all()
    assert (result.objective > result.clean_objective).all()
    assert torch.equal(result.perturbation, result.adversarial - x.float())


def test_objectives_of_half_precision_models_are_computed_in_single_precision() -> None:
    """In bfloat16 a confident classifier's cross-entropy would round to zero, with its gradient."""
    model = nn.Linear(2, 2, bias=False).bfloat16()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[8.0, 0.0], [-2.0, 1.0]]))
    x, label = torch.ones(1, 2, dtype=torch.bfloat16), torch.tensor([0])
    result = FGSM(Linf(0.25), CrossEntropy())(model, x, label)
    expected = nn.functional.cross_entropy(result.clean_output.float(), label)
    torch.testing.assert_close(result.clean_objective[0], expected, rtol=1e-5, atol=0)
    assert float(result.objective[0]) > float(result.clean_objective[0]) > 0


def test_a_half_precision_front_end_is_perturbed_in_single_precision() -> None:
    model, x = small().bfloat16(), torch.randn(4, 12).bfloat16()
    result = run(model, x, torch.ones(4, 3), PGD(Linf(0.1), view=View(perturb_at="0")))
    assert result.adversarial.dtype == torch.float32
    assert (result.objective > result.clean_objective).all()


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_networks(layer) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.head = layer(3, 8, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layer(x)[0][:, -1])

    result = run(Recurrent(), torch.randn(4, 5, 3), torch.ones(4, 2), BIM(L2(0.5)))
    assert (result.objective > result.clean_objective).all()


@pytest.mark.parametrize("context", [nullcontext, torch.inference_mode])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: lambda x: net(x),
        lambda net: net.forward,
        lambda net: lambda x: Output(net(x), x),
        lambda net: lambda x: {"prediction": net(x), "loss": x.sum()},
    ],
    ids=["lambda", "method", "NamedTuple", "dict"],
)
def test_any_callable_with_any_output(wrap, context) -> None:
    net, x, target = small(), torch.randn(4, 12), torch.zeros(4, 3)
    expected = run(net, x, target)
    with context():
        result = run(wrap(net), x, target)
    assert torch.equal(result.adversarial, expected.adversarial)
    assert torch.equal(result.objective, expected.objective)
    assert all(p.grad is None for p in net.parameters())


def test_outputs_without_a_prediction_are_refused() -> None:
    net = small()
    with pytest.raises(TypeError, match="returned tuple"):
        run(lambda x: (net(x), x), torch.randn(4, 12), torch.zeros(4, 3))
