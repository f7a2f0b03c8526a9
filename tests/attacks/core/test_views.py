"""Views: perturbing and reading inside a model, and the refusal of what cannot be."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import FGSM, L2, PGD, Linf, Noise, View, inject, prediction_of


class Output(NamedTuple):
    embedding: Tensor
    prediction: Tensor


class Net(nn.Module):
    """A front end, a trunk and a head; ``spare`` is never called and ``twice`` is called twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.front = nn.Sequential(nn.Linear(12, 8), nn.Softplus())
        self.trunk = nn.Sequential(nn.Linear(8, 6), nn.Tanh())
        self.twice = nn.Identity()
        self.head = nn.Linear(6, 2)
        self.spare = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Output:
        embedding = self.trunk(self.twice(self.front(x)))
        return Output(embedding, self.head(self.twice(embedding)))


@pytest.fixture
def case() -> tuple[Net, Tensor, Tensor]:
    net = Net().eval()
    x = torch.randn(4, 12)
    with torch.no_grad():
        return net, x, net(x).prediction + 0.5


def hooks(net: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())


@pytest.mark.parametrize("ball", [Linf(0.05), L2(0.1)], ids=str)
def test_perturbing_a_front_end_equals_attacking_what_follows_it(case, ball) -> None:
    net, x, target = case
    rest = lambda features: net.head(net.trunk(features))
    with torch.no_grad():
        features = net.front(x)
    index = torch.arange(4)
    result = PGD(ball, view=View(perturb_at="front"))(net, x, target, index=index)
    expected = PGD(ball)(rest, features, target, index=index)
    assert torch.equal(result.adversarial, expected.adversarial)
    assert torch.equal(result.output.prediction, expected.output)
    assert torch.equal(result.objective, expected.objective)
    assert (result.objective > result.clean_objective).all()
    assert hooks(net) == 0


def test_reading_a_submodule_attacks_its_output(case) -> None:
    net, x, _ = case
    target = torch.zeros(4, 6)
    result = PGD(Linf(0.1), view=View(read_at="trunk"))(net, x, target)
    with torch.no_grad():
        embedding = net(result.adversarial).embedding
    assert torch.equal(result.output, embedding)
    torch.testing.assert_close(result.objective, embedding.square().mean(1))
    assert hooks(net) == 0


def test_perturbing_and_reading_inside(case) -> None:
    net, x, _ = case
    with torch.no_grad():
        features = net.front(x)
    view = View(perturb_at="front", read_at="trunk")
    result = PGD(L2(0.2), view=view)(net, x)
    assert result.adversarial.shape == features.shape
    torch.testing.assert_close(result.clean_output, net.trunk(features))
    torch.testing.assert_close(result.output, net.trunk(result.adversarial))
    assert (result.objective > 0).all()
    assert hooks(net) == 0


def test_nested_names(case) -> None:
    net, x, target = case
    result = FGSM(Linf(0.1), view=View(perturb_at="front.0"))(net, x, target)
    torch.testing.assert_close(result.perturbation, result.adversarial - net.front[0](x))


def test_bounds_hold_where_the_perturbation_lives(case) -> None:
    net, x, target = case
    attack = PGD(Linf(0.5), view=View(perturb_at="front"), bounds=(0.0, 10.0))
    result = attack(net, x, target)
    assert result.adversarial.min() == 0


def test_token_models_are_attacked_at_their_embedding() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    tokens, target = torch.randint(9, (3, 3)), torch.zeros(3, 2)
    result = FGSM(Linf(0.1), view=View(perturb_at="0"))(net, tokens, target)
    assert (result.objective > result.clean_objective).all()
    with pytest.raises(ValueError, match=r"torch.int64; name a submodule"):
        FGSM(Linf(0.1))(net, tokens, target)


@pytest.mark.parametrize("view", [View(perturb_at="nose"), View(read_at="nose")], ids=str)
def test_unknown_names_are_refused_with_the_known_ones(case, view) -> None:
    net, x, _ = case
    with pytest.raises(ValueError, match=r"'nose'.* front, head, spare, trunk"):
        PGD(Linf(0.1), view=view)(net, x)


@pytest.mark.parametrize("view", [View(perturb_at="spare"), View(read_at="spare")], ids=str)
@pytest.mark.parametrize("attack", [PGD, Noise])
def test_submodules_that_are_never_called_are_refused(case, view, attack) -> None:
    net, x, _ = case
    with pytest.raises(ValueError, match="'spare' was not called"):
        attack(Linf(0.1), view=view)(net, x)
    assert hooks(net) == 0


@pytest.mark.parametrize("view", [View(perturb_at="twice"), View(read_at="twice")], ids=str)
def test_submodules_that_are_called_twice_are_refused(case, view) -> None:
    net, x, _ = case
    with pytest.raises(ValueError, match="'twice' was called 2 times"):
        PGD(Linf(0.1), view=view)(net, x)
    assert hooks(net) == 0


def test_names_need_a_module(case) -> None:
    net, x, _ = case
    with pytest.raises(TypeError, match=r"no nn\.Module"):
        PGD(Linf(0.1), view=View(perturb_at="front"))(lambda value: net(value), x)


def test_inject_replaces_every_pass_inside_and_none_after(case) -> None:
    net, x, _ = case
    value = torch.ones(4, 8)
    expected = net.head(net.trunk(value))
    with inject(net, "front", value):
        for scale in (1, 2):
            assert torch.equal(net(scale * x).prediction, expected)
    assert not torch.equal(net(x).prediction, expected)
    assert hooks(net) == 0


def test_inject_says_when_nothing_was_replaced(case) -> None:
    net, x, _ = case
    with pytest.raises(ValueError, match="'spare' was not called"), inject(net, "spare", x):
        net(x)
    with pytest.raises(ValueError, match="'nose'"), inject(net, "nose", x):
        net(x)


def test_a_failure_inside_inject_stays_the_failure(case) -> None:
    net, x, _ = case
    with pytest.raises(KeyError), inject(net, "front", x):
        raise KeyError("other")
    assert hooks(net) == 0


def test_prediction_of() -> None:
    tensor = torch.zeros(1)
    assert prediction_of(tensor) is tensor
    assert prediction_of(Output(torch.ones(1), tensor)) is tensor
    assert prediction_of({"prediction": tensor, "loss": torch.ones(1)}) is tensor
    for other in ((tensor, tensor), {"logits": tensor}, None, {"prediction": 3}):
        with pytest.raises(TypeError, match="'prediction'"):
            prediction_of(other)


@pytest.mark.parametrize("place", ["perturb_at", "read_at"])
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_compiled_network_gives_the_same_or_an_error(place, used) -> None:
    """Hooks of a network that was compiled before are not called: that must never look robust."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)).eval()
    compiled = torch.compile(net, backend="eager")
    x = torch.randn(2, 4)
    if used:
        compiled(x)
    target = torch.ones(2, 3 if place == "perturb_at" else 4)
    expected = FGSM(Linf(0.1), view=View(**{place: "0"}))(net, x, target).objective
    attack = FGSM(Linf(0.1), view=View(**{place: "_orig_mod.0"}))
    for _ in range(2):
        try:
            found = attack(compiled, x, target).objective
        except ValueError as error:
            refused = str(error)
        else:
            refused = ""
            torch.testing.assert_close(found, expected)
        assert not refused or "compiled" in refused
        torch.testing.assert_close(compiled(x + 1), net(x + 1))


def test_a_silent_hook_is_an_error(case, monkeypatch) -> None:
    net, x, _ = case
    monkeypatch.setattr(net.front, "_call_impl", net.front.forward)
    with pytest.raises(ValueError, match="compiled"):
        PGD(Linf(0.1), view=View(perturb_at="front"))(net, x)


def test_several_fields_are_read_side_by_side() -> None:
    view = View(field=["prediction", "concepts"])
    read = view.read({"prediction": torch.ones(3, 2), "concepts": torch.zeros(3, 4)})
    assert read.tolist() == 3 * [[1, 1, 0, 0, 0, 0]]
    assert view == View(field=("prediction", "concepts"))
    assert len({view, View(field=("prediction", "concepts"))}) == 1
