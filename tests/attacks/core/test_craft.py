"""Attacks that are not judged: what craft finds, asks and refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    EOT,
    FGSM,
    PGD,
    CrossEntropy,
    Linf,
    OutputLoss,
    SquaredError,
)
from tests.attacks.few_steps import ATTACKS, BALLS

MAKE = {**ATTACKS, "eot": lambda ball: EOT(PGD(ball, steps=3), samples=2)}
EVERY = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 2))
    return model, torch.randn(32, 10), torch.zeros(32, 2)


@EVERY
@BALLS
def test_crafting_finds_what_a_call_finds(case, make, ball) -> None:
    model, x, target = case
    index = torch.arange(len(x))
    result = make(ball)(model, x, target, index=index)
    crafted = make(ball).craft(model, x, target, index=index)
    assert torch.equal(crafted.adversarial, result.adversarial)
    assert torch.equal(crafted.gradient_queries, result.gradient_queries)
    assert torch.equal(crafted.forward_queries, result.forward_queries)


def test_a_noisy_model_is_crafted_against_as_in_a_call() -> None:
    class Noisy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 0.5 * torch.randn_like(x))

    torch.manual_seed(0)
    model, x, target = Noisy(10, 2), torch.randn(6, 10), torch.zeros(6, 2)
    attack, index = EOT(PGD(Linf(0.3), steps=3), samples=3), torch.arange(6)
    crafted = attack.craft(model, x, target, index=index).adversarial
    assert torch.equal(crafted, attack(model, x, target, index=index).adversarial)


def test_crafting_asks_no_more_than_the_search(case) -> None:
    model, x, target = case
    asked: list[tuple[int, bool]] = []

    def counting(value: Tensor) -> Tensor:
        asked.append((len(value), value.requires_grad))
        return model(value)

    attack = PGD(Linf(0.8), steps=3, keep_best=False)
    attack.craft(counting, x, target)
    # One clip shows that the target fits; nothing is judged.
    assert asked == [(1, False), *[(len(x), True)] * 3]
    asked.clear()
    PGD(Linf(0.8), steps=3, keep_best=False, restarts=2).craft(counting, x, target)
    assert asked == [(1, False), *[(2 * len(x), True)] * 3, (2 * len(x), False)]
    for other, given in ((attack, None), (FGSM(Linf(0.8)), target)):
        asked.clear()
        other.craft(counting, x, given)
        assert asked == [(len(x), False), *[(len(x), True)] * (len(asked) - 1)]


def test_crafting_from_clean_clips_looks_at_all_of_them(case) -> None:
    model, x, target = case
    target = target.clone()
    target[0] = model(x[:1]).detach()[
        0
    ]  # one clip that is predicted perfectly is no reason to stop
    assert FGSM(Linf(0.8)).craft(model, x, target).adversarial.shape == x.shape
    with pytest.raises(ValueError, match="own prediction is zero"):
        FGSM(Linf(0.8)).craft(model, x, model(x).detach())


def test_crafting_refuses_a_value_that_is_no_label_behind_the_first_clip(case) -> None:
    model, x, _ = case
    labels = torch.zeros(32, 2)
    labels[5, 1] = -3.0
    with pytest.raises(ValueError, match="from 0 to 1"):
        PGD(Linf(0.8), OutputLoss(), steps=2).craft(model, x, labels)
    classes = torch.zeros(32, dtype=torch.int64)
    classes[7] = 4
    with pytest.raises(ValueError, match="class"):
        PGD(Linf(0.8), CrossEntropy(), steps=2).craft(model, x, classes)


@pytest.mark.parametrize("target", [torch.zeros(32, 3), torch.zeros(1, 2), torch.zeros(32).long()])
def test_crafting_refuses_a_target_that_does_not_fit(case, target) -> None:
    with pytest.raises(ValueError, match="shape"):
        PGD(Linf(0.8), steps=3).craft(*case[:2], target)


def test_crafting_refuses_gradients_that_are_not_finite(case) -> None:
    _, x, target = case
    with pytest.raises(FloatingPointError, match="not finite"):
        PGD(Linf(0.8), steps=2).craft(lambda x: (x[:, :2] - 10).sqrt(), x, target)


def test_results_carry_no_graph(case) -> None:
    weight = nn.Parameter(torch.ones(()))

    class WeightedError(SquaredError):
        def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
            return weight * super().__call__(prediction, target)

    result = PGD(Linf(0.8), WeightedError(), steps=2)(*case)
    assert not result.objective.requires_grad
    assert not result.clean_objective.requires_grad
