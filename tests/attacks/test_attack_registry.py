"""Every attack, in every ball, keeps the promises of the base class; a new attack needs a row of `registry.py`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steadyear import attacks
from steadyear.attacks import (
    L2,
    PGD,
    Attack,
    Ball,
    Linf,
    Noise,
    View,
)
from steadyear.foundation.import_room import concrete_subclasses
from tests.attacks.registry import ATTACKS, BALLS, BALLS_ELSEWHERE

PLAIN_BALLS = (Linf, L2)
"""Balls whose size is a plain norm; the others have tests of their own in tests/attacks/balls."""
EVERY = pytest.mark.parametrize(
    ("row", "ball"),
    [
        pytest.param(row, ball, id=f"{name}-{ball.__name__}")
        for name, row in ATTACKS.items()
        if row.spend is not None
        for ball in PLAIN_BALLS
    ],
)


def concrete(base: type) -> set[type]:
    """Every class of the package that can be made, whether or not the public list shows it."""
    return {
        kind
        for kind in concrete_subclasses(base, attacks.__name__)
        if ".sanity." not in kind.__module__ and not kind.__name__.startswith(("_", "Watched"))
    }


def unlisted(base: type, rows: Iterable[str]) -> set[str]:
    """Names on one side only: classes without a row, and rows without a class."""
    return {kind.__name__ for kind in concrete(base)} ^ {name.split()[0] for name in rows}


def test_every_attack_and_every_ball_has_a_row() -> None:
    for base, rows in ((Attack, ATTACKS), (Ball, {**BALLS, **BALLS_ELSEWHERE})):
        wrong = unlisted(base, rows)
        assert not wrong, (
            f"{sorted(wrong)}: every {base.__name__} needs exactly one row in tests/attacks/registry.py."
        )


def test_an_attack_without_a_row_is_noticed() -> None:
    assert unlisted(Attack, [name for name in ATTACKS if name != "PGD"]) == {"PGD"}


def test_classes_of_the_rooms_are_found_without_a_list() -> None:
    assert attacks.TargetedLogitSum.__module__ == "steadyear.attacks.ensembles.objectives"
    assert "TargetedLogitSum" not in attacks.__all__
    assert not hasattr(attacks, "PDG")


def test_every_attack_is_tested_somewhere() -> None:
    for name, row in ATTACKS.items():
        complete = row.make is not None and row.spend is not None
        assert complete != bool(row.elsewhere), f"{name}: give make and spend, or say elsewhere."


class OneByOne(nn.Module):
    """Computes every clip alone, so that equal clips give equal bits in every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.net(clip.flatten()[None]) for clip in x])


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    model = OneByOne()
    x = 3 * torch.randn(6, 1, 3, 4)
    return model, x, torch.randn(6, 3), torch.tensor([40, 7, 2**40, 0, 13, 5])


def norms(perturbation: Tensor, ball: type[Ball]) -> np.ndarray:
    flat = perturbation.double().numpy().reshape(len(perturbation), -1)
    return np.abs(flat).max(1) if ball is Linf else np.sqrt((flat**2).sum(1))


@EVERY
@pytest.mark.parametrize("eps", [1e-3, 0.1, 20.0])
def test_stays_in_the_ball(row, ball, eps, case) -> None:
    model, x, target, index = case
    result = row.spend(ball(eps))(model, x, target, index=index)
    size = norms(result.adversarial.double() - x.double(), ball)
    assert (size <= eps * (1 + 1e-6)).all()
    np.testing.assert_allclose(result.size.numpy(), size, rtol=1e-6)
    assert size.min() > 0.2 * eps


@EVERY
def test_stays_in_the_ball_and_in_bounds(row, ball, case) -> None:
    model, x, target, index = case
    low, high = 0.1, 0.7
    x = x.clamp(low, high)
    result = row.spend(ball(0.3), bounds=(low, high))(model, x, target, index=index)
    low, high = x.min(), x.max()  # the bounds in single precision
    assert result.adversarial.min() >= low
    assert result.adversarial.max() <= high
    assert (result.adversarial == high).any()
    assert (norms(result.perturbation, ball) <= 0.3 * (1 + 1e-6)).all()
    assert torch.equal(result.perturbation, result.adversarial - x)


@EVERY
def test_clean_values_beyond_the_bounds_are_refused(row, ball, case) -> None:
    model, x, target, _ = case
    with pytest.raises(ValueError, match="beyond the bounds"):
        row.spend(ball(0.1), bounds=(0.0, 1.0))(model, x, target)


@EVERY
def test_the_numbers_belong_to_the_returned_tensor(row, ball, case) -> None:
    model, x, target, index = case
    attack = row.spend(ball(0.5))
    result = attack(model, x, target, index=index)
    with torch.no_grad():
        clean, output = model(x), model(result.adversarial)
    assert torch.equal(result.clean_output, clean)
    assert torch.equal(result.output, output)
    assert torch.equal(result.clean_objective, attack.objective(clean, target))
    assert torch.equal(result.objective, attack.objective(output, target))
    assert not result.output.requires_grad
    assert not result.adversarial.requires_grad


@EVERY
def test_raises_the_objective_of_every_clip(row, ball, case) -> None:
    model, x, target, index = case
    attack = row.spend(ball(0.1))
    result = attack(model, x, target, index=index)
    if row.aimed:
        assert (result.objective > result.clean_objective).all()
        noise = Noise(ball(0.1), attack.objective, tries=8)(model, x, target, index=index)
        assert result.objective.mean() > noise.objective.mean()


@EVERY
def test_a_budget_of_zero_changes_nothing(row, ball, case) -> None:
    model, x, target, index = case
    result = row.spend(ball(0.0))(model, x, target, index=index)
    assert torch.equal(result.adversarial, x)
    assert torch.equal(result.output, model(x))
    assert (result.size == 0).all()


@EVERY
def test_a_clip_does_not_depend_on_its_batch(row, ball, case) -> None:
    model, x, target, index = case
    attack = row.spend(ball(0.3))
    whole = attack(model, x, target, index=index)
    for clips in ([3], [5, 0], [4, 3, 2, 1, 0, 5]):
        part = attack(model, x[clips], target[clips], index=index[clips])
        for name in ("adversarial", "objective", "clean_objective", "size", "success"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[clips]), (name, clips)


def test_a_clip_in_a_batched_convolution_depends_on_its_batch_by_rounding_only() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(1, 8, 9), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 56, 2)).double()
    x = torch.randn(6, 1, 64, dtype=torch.float64)
    target, index = torch.zeros(6, 2, dtype=torch.float64), torch.arange(6)
    attack = PGD(L2(0.5), steps=5)
    whole = attack(net, x, target, index=index).adversarial
    alone = [attack(net, x[i : i + 1], target[:1], index=index[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(torch.cat([a.adversarial for a in alone]), whole, atol=1e-10, rtol=0)


@EVERY
@pytest.mark.parametrize("source", ["index", "generator", "seed"])
def test_is_deterministic_and_keyed(row, ball, source, case) -> None:
    model, x, target, index = case

    def run(key: int) -> Tensor:
        attack = row.spend(ball(0.3), seed=key if source == "seed" else 0)
        more = {}
        if source == "generator":
            more["generator"] = torch.Generator().manual_seed(key)
        if source == "index":
            more["index"] = index + key
        return attack(model, x, target, **more).adversarial

    first = run(1)
    assert torch.equal(first, run(1))
    if row.random is not None:
        assert torch.equal(first, run(2)) is not row.random


@EVERY
def test_ignores_the_global_random_state(row, ball, case) -> None:
    model, x, target, _ = case
    torch.manual_seed(1)
    first = row.spend(ball(0.3))(model, x, target).adversarial
    torch.manual_seed(2)
    assert torch.equal(first, row.spend(ball(0.3))(model, x, target).adversarial)


@EVERY
def test_at_changes_the_budget_of_a_copy(row, ball, case) -> None:
    model, x, target, index = case
    attack = row.spend(ball(0.3), seed=5)
    other = attack.at(0.1)
    assert type(other) is type(attack)
    assert (attack.ball.eps, other.ball.eps) == (0.3, 0.1)
    expected = row.spend(ball(0.1), seed=5)(model, x, target, index=index).adversarial
    assert torch.equal(other(model, x, target, index=index).adversarial, expected)


@EVERY
def test_perturbs_inside_the_model(row, ball, case) -> None:
    model, x, _, index = case
    model = nn.Sequential(nn.Tanh(), model)
    with torch.no_grad():
        target = model(x) + 0.3
    attack = row.spend(ball(0.1), view=View(perturb_at="0"))
    result = attack(model, x, target, index=index)
    assert torch.equal(result.perturbation, result.adversarial - x.tanh())
    assert torch.equal(result.output, model[1](result.adversarial))


def test_a_solver_is_not_trusted(case) -> None:
    class Cheat(Attack):
        def solve(self, query, rng):
            return torch.full_like(query.x, 100.0)

    model, x, target, _ = case
    for ball in PLAIN_BALLS:
        result = Cheat(ball(0.1))(model, x, target)
        assert (norms(result.perturbation, ball) <= 0.1 * (1 + 1e-6)).all()


@EVERY
def test_index_and_generator_exclude_each_other(row, ball, case) -> None:
    model, x, target, index = case
    with pytest.raises(ValueError, match="not both"):
        row.spend(ball(0.1))(model, x, target, index=index, generator=torch.Generator())


def test_index_must_number_every_clip(case) -> None:
    model, x, target, index = case
    with pytest.raises(ValueError, match="5 indices for 6 clips"):
        PGD(Linf(0.1))(model, x, target, index=index[:5])


@pytest.mark.parametrize("ball", PLAIN_BALLS)
@pytest.mark.parametrize("eps", [-0.1, float("nan")])
def test_a_budget_is_not_negative(ball, eps) -> None:
    with pytest.raises(ValueError, match="budget"):
        ball(eps)
    with pytest.raises(ValueError, match="budget"):
        ball(1.0).at(eps)
