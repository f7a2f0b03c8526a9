"""Universal perturbations: found on training clips, tested on others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import L2, PGD, Ball, CrossEntropy, Linf, Noise, Shift, SquaredError, View
from steadyear.attacks.gradient.universal import Universal
from tests.attacks.small_classifier import digits

BALLS = pytest.mark.parametrize("ball", [Linf(0.2), L2(1.2)], ids=str)


@pytest.fixture
def linear() -> tuple[nn.Linear, list[tuple[Tensor, Tensor | None]], Tensor]:
    torch.manual_seed(0)
    model, clips = nn.Linear(12, 1), torch.randn(24, 3, 4)
    flat = nn.Sequential(nn.Flatten(), model)
    return flat, [(part, torch.zeros(8, 1)) for part in clips.split(8)], torch.randn(5, 3, 4)


@BALLS
def test_hurts_clips_that_it_has_not_seen_more_than_noise(ball) -> None:
    net, x, labels = digits()
    training = list(zip(x[:150].split(50), labels[:150].split(50), strict=True))
    x, labels = x[150:], labels[150:]
    attack = Universal(ball, CrossEntropy(), epochs=12, bounds=(0.0, 1.0)).fit(net, training)
    result = attack(net, x, labels)
    noise = Noise(ball, CrossEntropy(), tries=5, bounds=(0.0, 1.0))(net, x, labels)
    single = PGD(ball, CrossEntropy(), bounds=(0.0, 1.0))(net, x, labels)
    assert result.success.float().mean() > noise.success.float().mean() + 0.1
    assert result.objective.mean() > 1.5 * noise.objective.mean()
    # What is made for each clip alone is stronger.
    assert result.objective.mean() < single.objective.mean()
    assert (result.size <= ball.eps * (1 + 1e-6)).all()
    assert not result.gradient_queries.any()


def test_finds_the_one_direction_of_a_linear_model(linear) -> None:
    model, training, x = linear
    weight = model[1].weight.detach().reshape(3, 4)
    attack = Universal(Linf(0.1), Shift(), epochs=8).fit(model, training)
    torch.testing.assert_close(attack.perturbation, 0.1 * weight.sign())
    result = attack(model, x, torch.zeros(5, 1))
    torch.testing.assert_close(result.perturbation, (0.1 * weight.sign()).expand(5, 3, 4))


class Loud(Ball):
    """Values up to a share of each clip's largest value."""

    norm = "share"

    def sample_in_ball(self, x, rng):
        return rng.uniform(x) * self.limit(x)

    def sample_on_sphere(self, x, rng):
        return rng.uniform(x).sign() * self.limit(x)

    def direction(self, gradient, x):
        return gradient.sign() * self.limit(x) / self.eps

    def project(self, perturbation, x):
        return perturbation.clamp(-self.limit(x), self.limit(x))

    def size(self, perturbation, x):
        return perturbation.flatten(1).abs().amax(1) / x.flatten(1).abs().amax(1)

    def limit(self, x):
        return self.eps * x.abs().amax((1, 2), keepdim=True)


def test_a_ball_that_depends_on_the_clip_gives_what_the_loudest_allows(linear) -> None:
    model, _, _ = linear
    x = torch.cat([torch.ones(1, 3, 4), 3 * torch.ones(1, 3, 4)])
    attack = Universal(Loud(0.1), Shift(), epochs=20).fit(model, [(x, torch.zeros(2, 1))])
    found = attack(model, x, torch.zeros(2, 1)).perturbation
    torch.testing.assert_close(found[0].abs(), torch.full((3, 4), 0.1))
    torch.testing.assert_close(found[1], 0.3 * model[1].weight.detach().reshape(3, 4).sign())


def test_every_budget_has_its_own_and_others_take_the_nearest(linear) -> None:
    model, training, x = linear
    attack = Universal(Linf(0.1), Shift(), epochs=8)
    attack.at(0.1).fit(model, training)
    attack.at(0.4).fit(lambda z: -model(z), training)
    way = model[1].weight.detach().reshape(3, 4).sign()
    for eps, expected in {0.1: way, 0.4: -way, 0.2: way, 0.3: -way, 0.05: way, 8.0: -way}.items():
        torch.testing.assert_close(attack.at(eps).perturbation, eps * expected)
    unharmed = attack.at(0.0)(model, x, torch.zeros(5, 1))
    assert torch.equal(unharmed.adversarial, x)


def test_without_a_target_the_search_starts_at_random(linear) -> None:
    model, training, x = linear
    blind = [(clips, None) for clips, _ in training]
    result = Universal(L2(0.1), SquaredError(), epochs=8).fit(model, blind)(model, x)
    far = 0.1 * model[1].weight.detach().norm()
    torch.testing.assert_close(result.objective, far.square().expand(5), rtol=1e-2, atol=0)


def test_is_saved_and_loaded(linear, tmp_path) -> None:
    model, training, x = linear
    attack = Universal(Linf(0.1), Shift(), epochs=2).fit(model, training)
    attack.at(0.2).fit(model, training)
    attack.save(tmp_path / "found.pt")
    other = Universal(Linf(0.2), Shift(), path=str(tmp_path / "found.pt"))
    target = torch.zeros(5, 1)
    for eps in (0.1, 0.2):
        expected = attack.at(eps)(model, x, target).adversarial
        assert torch.equal(other.at(eps)(model, x, target).adversarial, expected)
    torch.save([1], tmp_path / "other.pt")
    with pytest.raises(ValueError, match="no perturbations"):
        Universal(Linf(0.1), path=str(tmp_path / "other.pt"))
    with pytest.raises(FileNotFoundError, match="nothing"):
        Universal(Linf(0.1), path=str(tmp_path / "nothing.pt"))


def test_perturbs_inside_the_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Tanh(), nn.Linear(6, 1))
    x = torch.randn(9, 6)
    attack = Universal(Linf(0.1), Shift(), epochs=30, view=View(perturb_at="0"))
    result = attack.fit(model, [(x, torch.zeros(9, 1))])(model, x, torch.zeros(9, 1))
    expected = (0.1 * model[1].weight.detach().sign()).expand(9, 6)
    torch.testing.assert_close(result.adversarial - x.tanh(), expected)


def test_fitting_leaves_the_model_and_the_global_state_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    Universal(L2(0.1), Shift()).fit(model, [(torch.randn(4, 6), torch.zeros(4, 1))])
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.set_rng_state(state)
    torch.randn(4, 6)
    expected = torch.get_rng_state()
    torch.set_rng_state(state)
    Universal(L2(0.1), Shift()).fit(model, [(torch.randn(4, 6), torch.zeros(4, 1))])
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_wrong_use_is_refused(linear) -> None:
    model, training, x = linear
    target = torch.zeros(5, 1)
    with pytest.raises(ValueError, match="call fit"):
        Universal(Linf(0.1))(model, x, target)
    with pytest.raises(ValueError, match="give a list"):
        Universal(Linf(0.1)).fit(model, iter(training))
    with pytest.raises(ValueError, match="no training clips"):
        Universal(Linf(0.1)).fit(model, [])
    with pytest.raises(ValueError, match="epoch"):
        Universal(Linf(0.1), epochs=0)
    fitted = Universal(Linf(0.1)).fit(model, training)
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(2, 6\)"):
        fitted(model, x.reshape(5, 2, 6), target)
