"""Attacks on explanations: values by hand, what is held is held, and what heads make impossible."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    PGD,
    AbsoluteError,
    CrossEntropy,
    Linf,
    Shift,
    SquaredError,
    View,
)
from steadyear.attacks.objectives.batch import BatchCorrelation
from steadyear.attacks.objectives.constrained import ConstrainedObjective
from steadyear.attacks.objectives.regression import PredictionChange

OUTPUT_FIRST = View(field=["prediction", "concepts"])
CONCEPTS_FIRST = View(field=["concepts", "prediction"])
TOLERANCE = 0.05


class Output(NamedTuple):
    prediction: Tensor
    concepts: Tensor


class Bottleneck(nn.Module):
    """7 concepts and a linear head to 8 outputs, with or without a way around the concepts."""

    def __init__(self, side_channel: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(40, 48), nn.Tanh(), nn.Linear(48, 32), nn.Tanh())
        self.concepts = nn.Linear(32, 7)
        self.head = nn.Linear(7, 8)
        self.side = nn.Linear(32, 8) if side_channel else None

    def forward(self, x: Tensor) -> Output:
        embedding = self.body(x)
        concepts = self.concepts(embedding)
        around = 0 if self.side is None else self.side(embedding)
        return Output(self.head(concepts) + around, concepts)


class Case(NamedTuple):
    net: Bottleneck
    x: Tensor
    target: Tensor


def trained(side_channel: bool) -> Case:
    torch.manual_seed(0)
    net, x = Bottleneck(side_channel), torch.randn(400, 40)
    concepts = 0.5 + 0.3 * torch.tanh(x @ torch.randn(40, 7) / 40**0.5)
    around = 0.2 * torch.tanh(x @ torch.randn(40, 8) / 40**0.5)
    target = concepts @ torch.randn(7, 8) / 7**0.5 + around
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(40):
        for some in torch.randperm(400).split(50):
            optimiser.zero_grad()
            output = net(x[some])
            loss = F.mse_loss(output.prediction, target[some])
            (loss + F.mse_loss(output.concepts, concepts[some])).backward()
            optimiser.step()
    return Case(net.eval(), x[:60], target[:60])


@pytest.fixture(scope="module")
def narrow() -> Case:
    return trained(side_channel=False)


@pytest.fixture(scope="module")
def leaky() -> Case:
    return trained(side_channel=True)


def test_distance_is_the_mean_absolute_change_whatever_the_target() -> None:
    torch.manual_seed(0)
    net, x = nn.Linear(5, 3), torch.randn(4, 5)
    result = PGD(Linf(0.1), PredictionChange(tolerance=0.02))(
        net, x, torch.zeros(4, 8, dtype=torch.long)
    )
    change = (result.output - result.clean_output).abs().mean(1)
    torch.testing.assert_close(result.objective, change)
    assert torch.equal(result.success, change > 0.02)
    assert (result.clean_objective == 0).all()
    # The steepest way of a linear model is known: no change can be larger.
    assert (change <= 0.1 * net.weight.abs().sum(1).mean() + 1e-6).all()
    with pytest.raises(ValueError, match="starts at the clean clip"):
        PGD(Linf(0.1), PredictionChange(), random_start=False)(net, x)


def test_value_and_margin_by_hand() -> None:
    objective = ConstrainedObjective(AbsoluteError(tolerance=0.1), 2, tolerance=0.5, penalty=3.0)
    clean = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, 4)
    target = torch.zeros(3, 2)
    attacked = clean + torch.tensor(
        [[0.2, 0.4, 0.5, -0.25], [0.2, 0.4, 1.0, -0.75], [0.1, 0.0, 0.1, 0.0]]
    )
    reference = objective.reference(clean, target)
    # Excess in tolerances: 0; 1 + 0.5; 0.
    torch.testing.assert_close(
        objective(attacked, reference), torch.tensor([0.3, 0.3 - 3 * 1.5, 0.05])
    )
    margin = objective.margin(attacked, clean, reference)
    torch.testing.assert_close(margin, torch.tensor([0.0, -0.5, -0.05]), atol=1e-6, rtol=0)
    assert objective.success(attacked, clean, reference).tolist() == [True, False, False]


def test_the_reference_carries_what_is_held() -> None:
    clean = torch.randn(4, 5)
    target = torch.randn(4, 3)
    held = ConstrainedObjective(SquaredError(), 3).reference(clean, target)
    assert torch.equal(held, torch.cat([target, clean[:, 3:]], 1))
    for objective, given in ((SquaredError(), None), (PredictionChange(), target)):
        assert torch.equal(ConstrainedObjective(objective, 3).reference(clean, given), clean)


@pytest.mark.parametrize("solver", [PGD, APGD])
@pytest.mark.parametrize("eps", [0.1, 0.3])
@pytest.mark.parametrize("concepts_first", [False, True])
def test_what_is_held_stays_within_the_tolerance(
    solver, eps, concepts_first, narrow, leaky
) -> None:
    for case in (narrow, leaky):
        view = CONCEPTS_FIRST if concepts_first else OUTPUT_FIRST
        inner, width = (PredictionChange(), 7) if concepts_first else (SquaredError(), 8)
        attack = solver(
            Linf(eps), ConstrainedObjective(inner, width, TOLERANCE), steps=50, view=view
        )
        result = attack(*case, index=torch.arange(60))
        moved = view.read(result.output) - view.read(result.clean_output)
        held = moved[:, width:].abs().amax(1) <= TOLERANCE
        assert held.double().mean() > 0.9
        assert (result.objective > result.clean_objective).double().mean() > 0.9


def change_with_concepts_held(case: Case, tolerance: float) -> tuple[Tensor, Tensor]:
    """Mean change of the outputs of clips whose concepts stayed, and what the head makes of that."""
    attack = APGD(
        Linf(0.3),
        ConstrainedObjective(PredictionChange(), 8, tolerance),
        steps=50,
        view=OUTPUT_FIRST,
    )
    result = attack(*case, index=torch.arange(60))
    change = (result.output.prediction - result.clean_output.prediction).abs().mean(1)
    held = (result.output.concepts - result.clean_output.concepts).abs().amax(1) <= tolerance
    assert held.double().mean() > 0.8
    return change[held], tolerance * case.net.head.weight.abs().sum(1).mean()


@pytest.mark.parametrize("tolerance", [0.01, TOLERANCE])
def test_without_a_side_channel_the_output_is_held_with_its_concepts(narrow, tolerance) -> None:
    found, limit = change_with_concepts_held(narrow, tolerance)
    assert found.max() <= limit * (1 + 1e-4)


def test_through_a_side_channel_the_output_goes_further(leaky) -> None:
    found, limit = change_with_concepts_held(leaky, 0.01)
    assert found.mean() > 1.5 * limit


def test_an_injective_head_holds_concepts_with_the_output_and_another_does_not(narrow) -> None:
    smallest = torch.linalg.svdvals(narrow.net.head.weight)[-1]
    objective = ConstrainedObjective(PredictionChange(), 7, TOLERANCE)
    attack = APGD(Linf(0.3), objective, steps=50, view=CONCEPTS_FIRST)
    result = attack(*narrow, index=torch.arange(60))
    change = [a - b for a, b in zip(result.output, result.clean_output, strict=True)]
    assert (change[1].norm(dim=1) <= change[0].norm(dim=1) / smallest * (1 + 1e-4)).all()
    before = result.objective.mean()
    blind = Bottleneck(side_channel=False).eval()
    blind.load_state_dict(narrow.net.state_dict())
    with torch.no_grad():
        blind.head.weight[:, 3:] = 0  # the head is blind to four concepts
    result = attack(blind, *narrow[1:], index=torch.arange(60))
    assert result.success.double().mean() > 0.5
    assert result.objective.mean() > before


def test_one_output_can_be_moved(leaky) -> None:
    objective = ConstrainedObjective(Shift(output=2, tolerance=0.02), 8, TOLERANCE)
    result = PGD(Linf(0.3), objective, steps=30, view=OUTPUT_FIRST)(*leaky)
    moved = result.output.prediction - result.clean_output.prediction
    assert (moved[:, 2] > 0.02)[result.success].all()
    assert result.success.double().mean() > 0.8


@pytest.mark.parametrize("setting", [{"width": 0}, {"tolerance": 0.0}, {"penalty": -1.0}])
def test_settings_that_hold_nothing_are_refused(setting) -> None:
    with pytest.raises(ValueError, match="width, a tolerance and a penalty above 0"):
        ConstrainedObjective(SquaredError(), **({"width": 2} | setting))


def test_objectives_that_do_not_fit_are_refused(narrow) -> None:
    with pytest.raises(ValueError, match="decides about every clip alone, and BatchCorrelation"):
        ConstrainedObjective(BatchCorrelation(), 8)
    attack = PGD(Linf(0.1), ConstrainedObjective(SquaredError(), 8))
    with pytest.raises(ValueError, match="the view reads 8: name several fields"):
        attack(*narrow)
    attack = PGD(Linf(0.1), ConstrainedObjective(SquaredError(), 7), view=CONCEPTS_FIRST)
    with pytest.raises(ValueError, match=r"predicts \(60, 7\) and the target is \(60, 8\)"):
        attack(*narrow)
    attack = PGD(Linf(0.1), ConstrainedObjective(CrossEntropy(), 8), view=OUTPUT_FIRST)
    with pytest.raises(ValueError, match=r"needs a target \(60,\) \+ \(values,\), not \(\)"):
        attack(narrow.net, narrow.x, torch.tensor(3))
