"""Gradients come from a folded stand-in; everything that is reported comes from the model itself."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import FGSM, PGD, Linf, SignAdam, View, attack_mode
from steadyear.attacks.core.crafting import fold_batch_norm
from steadyear.lightning_modules import A2E, AudioVGG, RegressionModule

SHAPE = (1, 24, 16)


def network(seed: int = 0) -> nn.Sequential:
    """Convolutions with batch normalisation that does something, in eval mode."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8, affine=False), nn.Tanh()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    for _ in range(3):
        net(2 * torch.randn(16, *SHAPE) + 0.5)
    with torch.no_grad():
        net[0][1].weight.uniform_(-1.5, 1.5)
        net[0][1].bias.uniform_(-1.0, 1.0)
    return net.eval()


def norms(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def queried(model: nn.Module) -> list[tuple[bool, torch.dtype, Tensor]]:
    """Whether each forward pass of the last layer could have a gradient, its type, its input."""
    seen: list[tuple[bool, torch.dtype, Tensor]] = []
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    last.register_forward_hook(
        lambda _m, inputs, out: seen.append((out.requires_grad, out.dtype, inputs[0].detach()))
    )
    return seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_folded_copy_predicts_and_differentiates_like_the_model(dtype):
    model = network().to(dtype)
    folded = fold_batch_norm(model)
    assert not norms(folded)
    x = torch.randn(5, *SHAPE, dtype=dtype, requires_grad=True)
    ours, theirs = folded(x), model(x)
    torch.testing.assert_close(ours, theirs)
    slopes = [torch.autograd.grad(out.square().sum(), x)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*slopes)


def test_the_model_keeps_all_it_has():
    model = network()
    modules, values = dict(model.named_modules()), copy.deepcopy(model.state_dict())
    folded = fold_batch_norm(model)
    assert dict(model.named_modules()) == modules
    assert all(torch.equal(model.state_dict()[name], value) for name, value in values.items())
    assert folded[4] is model[4]  # what is not folded is shared, not copied
    assert folded[0][0].weight.is_contiguous(memory_format=torch.channels_last)


def test_all_nine_convolutions_of_the_study_are_folded():
    module = RegressionModule(AudioVGG(width=0.1), lambda width: A2E(width, 8)).eval()
    folded = fold_batch_norm(module)
    assert len(norms(module)) == 9
    assert not norms(folded)
    x = torch.randn(2, 1, 32, 30)
    torch.testing.assert_close(folded(x).prediction, module(x).prediction)


class Elsewhere(nn.Module):
    """Convolution and normalisation are neighbours by name, but not in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x))


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Backwards(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(self):
            x = layer(x)
        return x


def hooked() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
    layers[0].register_forward_hook(lambda *_: None)
    return layers


@pytest.mark.parametrize(
    "make",
    [
        Elsewhere,
        hooked,
        lambda: Backwards(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)),
        lambda: nn.Sequential(Doubled(8, 8, 1), nn.BatchNorm2d(8)),
        lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8, track_running_stats=False)),
        lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.Tanh(), nn.BatchNorm2d(8)),
        lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)).bfloat16(),
        lambda: torch.compile(nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))),
        lambda: torch.jit.trace(
            nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)).eval(), torch.zeros(1, 8, 2, 2)
        ),
    ],
)
def test_what_is_not_certain_is_not_folded(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().eval()
    assert fold_batch_norm(model) is model


def test_gradients_are_taken_from_the_copy_and_scores_from_the_model():
    model = network()
    seen: list[bool] = []
    original = type(model[0][1]).forward

    class Watched(nn.BatchNorm2d):
        pass

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        seen.append(x.requires_grad)
        return original(self, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.BatchNorm2d, "forward", forward)
        result = PGD(Linf(0.1), steps=3)(model, torch.randn(4, *SHAPE), torch.zeros(4, 4))
    # Two layers, asked for the clean clips, for the last value and for the final score.
    assert seen == [False] * 6
    with torch.no_grad():
        assert torch.equal(result.output, model(result.adversarial))


@pytest.mark.parametrize(
    "attack",
    [PGD(Linf(0.2)), FGSM(Linf(0.2)), SignAdam(steps=20, learning_rate=0.05)],
    ids=["pgd", "fgsm", "sign_adam"],
)
def test_the_attack_is_the_same_as_without_folding(attack, monkeypatch):
    model, x = network().double(), torch.randn(6, *SHAPE, dtype=torch.float64)
    with torch.no_grad():
        prediction = model(x)
    target = prediction + 0.3 * prediction.std() * torch.randn_like(prediction)
    found = attack(model, x, target).perturbation
    assert found.abs().max() > 0
    monkeypatch.setattr("steadyear.attacks.core.crafting.fold_batch_norm", lambda model: model)
    torch.testing.assert_close(found, attack(model, x, target).perturbation, rtol=0, atol=1e-9)


class Stubborn(nn.Module):
    """Reads a layer of its own in a way that the copy does not serve."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layers, self.how = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), how

    def forward(self, x: Tensor) -> Tensor:
        shift = self.layers[1].running_var if self.how == "raises" else self.layers[0].bias
        return (self.layers(x) + shift[:, None, None]).mean((2, 3))


@pytest.mark.parametrize("how", ["raises", "differs"])
def test_a_copy_that_predicts_something_else_is_not_used(how):
    model, x = Stubborn(how).eval(), torch.randn(3, *SHAPE)
    with torch.no_grad():
        model.layers[1].bias.fill_(1.0)
    with pytest.warns(UserWarning, match="not folded into the convolutions"):
        result = PGD(Linf(0.1), steps=3)(model, x, torch.zeros(3, 4))
    assert (result.objective > result.clean_objective).all()


def test_a_training_model_is_folded_as_it_is_now():
    """Nothing is remembered between calls: weights that changed are attacked as they are."""
    model, x, target = network(), torch.randn(3, *SHAPE), torch.zeros(3, 4)
    attack = FGSM(Linf(0.1))
    first = attack(model, x, target)
    with torch.no_grad():
        model[0][1].weight.neg_()
        model[4].weight.neg_()
    second = attack(model.train(), x, target)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert not torch.equal(first.adversarial, second.adversarial)
    assert torch.equal(second.adversarial, attack(copy.deepcopy(model), x, target).adversarial)


@pytest.mark.parametrize("view", [View(), View(read_at="4")], ids=["prediction", "inside"])
def test_bfloat16_is_for_gradients_behind_the_first_layer_only(view):
    model, x, target = network(), torch.randn(4, *SHAPE), torch.zeros(4, 4)
    seen = queried(model)
    first: list[torch.dtype] = []
    model[0][0].register_forward_hook(lambda _m, _i, out: first.append(out.dtype))
    result = PGD(Linf(1e-3), steps=3, precision="bf16", view=view)(model, x, target)
    assert [d for grad, d, _ in seen if grad] == [torch.bfloat16] * 3
    assert {d for grad, d, _ in seen if not grad} == {torch.float32}
    assert set(first) == {torch.float32}
    assert result.perturbation.dtype == result.objective.dtype == torch.float32
    assert (result.objective > result.clean_objective).all()
    assert len(model[0][0]._forward_hooks) == 1  # its own hooks are gone
    with torch.no_grad():
        assert torch.equal(result.output, model(result.adversarial))


def test_bfloat16_finds_almost_the_same_damage():
    model, x, target = network(), torch.randn(8, *SHAPE), torch.zeros(8, 4)
    exact, half = (
        PGD(Linf(0.01), precision=p)(model, x, target).objective for p in ("fp32", "bf16")
    )
    assert not torch.equal(exact, half)
    torch.testing.assert_close(half, exact, rtol=1e-2, atol=1e-5)


def test_bfloat16_refuses_what_it_cannot_do():
    x, target = torch.randn(2, *SHAPE), torch.zeros(2, 4)
    with pytest.raises(ValueError, match="precision is one of"):
        PGD(Linf(0.1), precision="fp16")
    with pytest.raises(ValueError, match="inside the model"):
        SignAdam(precision="bf16", view=View(perturb_at="0"))
    model = network()
    with pytest.raises(TypeError, match="is an nn"):
        FGSM(Linf(0.1), precision="bf16")(lambda x: model(x), x, target)
    assert not torch.is_autocast_enabled("cpu")


def test_bfloat16_leaves_no_trace_when_the_model_fails():
    model = network()
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    model[4].register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        PGD(Linf(0.1), precision="bf16")(model, torch.randn(2, *SHAPE), torch.zeros(2, 4))
    assert not torch.is_autocast_enabled("cpu")
    assert not model[0][0]._forward_hooks
    assert len(norms(model)) == 2


def test_folding_needs_no_copy_of_what_hangs_on_the_model():
    """A LightningModule knows its trainer, and that the data: none of it may be copied."""

    class Heavy:
        def __deepcopy__(self, memo: object) -> None:
            raise AssertionError

    model = network()
    model.trainer = Heavy()
    with attack_mode(model, torch.device("cpu")), warnings.catch_warnings():
        warnings.simplefilter("error")
        folded = fold_batch_norm(model)
    assert folded.trainer is model.trainer


class AlwaysTraining(nn.Module):
    """Puts itself into train mode whenever it is called, a mistake that an attack must survive."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        self.train()
        return self.net(x)


def test_a_model_that_trains_in_its_forward_pass_is_not_folded():
    model = AlwaysTraining()
    x, target = torch.randn(4, *SHAPE), torch.randn(4, 4)
    result = PGD(Linf(0.1), steps=2)(model, x, target)
    assert torch.isfinite(result.objective).all()
