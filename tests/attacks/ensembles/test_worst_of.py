"""WorstOf: never weaker than what it is made of, counted, and refused where parts do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    FGSM,
    L1,
    L2,
    NIFGSM,
    PGD,
    AbsoluteError,
    Attack,
    Linf,
    Noise,
    Shift,
    SquaredError,
    View,
    robust_curve,
)
from steadyear.attacks.balls import FrequencyMask
from steadyear.attacks.domains import SemanticBox
from steadyear.attacks.domains.transformations import Gain
from steadyear.attacks.ensembles.worst_of import WorstOf
from steadyear.attacks.objectives.batch import BatchCorrelation
from steadyear.attacks.objectives.regression import PredictionChange


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 5))
    x = torch.randn(20, 16)
    with torch.no_grad():
        target = net(x) + 0.3 * torch.randn(20, 5)
    return net.eval(), x, target


def both(eps: float = 0.2, **more) -> list[Attack]:
    return [PGD(Linf(eps), objective, **more) for objective in (SquaredError(), AbsoluteError())]


def test_the_worst_of_two_is_each_clips_worse_one(case) -> None:
    parts = [NIFGSM(Linf(0.2), SquaredError()), NIFGSM(Linf(0.2), AbsoluteError())]
    results = [part(*case) for part in parts]
    judge = AbsoluteError(tolerance=0.2)
    values = torch.stack([judge(r.output, case[2]) for r in results])
    found = WorstOf(parts, judge)(*case)
    torch.testing.assert_close(found.objective, values.amax(0))
    assert torch.equal(found.gradient_queries, sum(r.gradient_queries for r in results))
    assert torch.equal(found.forward_queries, sum(r.forward_queries for r in results) + 2)
    # Each of them is the worse one somewhere, or the ensemble would be of no use.
    assert (values[0] > values[1]).any()
    assert (values[1] > values[0]).any()


def test_success_counts_before_the_value(case) -> None:
    """The judge's value prefers moving down, its aim is to move up."""

    class Odd(Shift):
        def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
            return -super().__call__(prediction, target)

        def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
            return Shift(tolerance=self.tolerance).margin(prediction, clean, target)

    parts = [PGD(Linf(0.5), Shift(down=down)) for down in (True, False)]
    found = WorstOf(parts, Odd(tolerance=0.17))(*case)
    assert found.success.any()
    assert not found.success.all()
    moved = (found.output - found.clean_output).mean(1)
    assert torch.equal(moved > 0.17, found.success)
    assert (moved[~found.success] < 0).all()


def test_the_worst_of_both_ways_is_the_worst_case_of_an_output(case) -> None:
    ways = [PGD(Linf(0.2), Shift(output=3, down=down), steps=20) for down in (False, True)]
    found = WorstOf(ways, AbsoluteError(output=3))(*case)
    error = [(way(*case).output - case[2])[:, 3].abs() for way in ways]
    assert (found.objective >= torch.maximum(*error) - 0.02).all()
    assert found.objective.mean() > max(e.mean() for e in error)


def test_nothing_outside_of_the_ball_is_handed_out(case) -> None:
    attack = WorstOf([NIFGSM(L2(0.5)), PGD(L2(0.5))])
    assert (attack(*case).size <= 0.5 * (1 + 1e-6)).all()
    identity = attack.at(0.0)(*case)
    assert torch.equal(identity.adversarial, case[1])


def test_at_changes_all_of_them(case) -> None:
    attack = WorstOf(both(0.2), AbsoluteError(), seed=4)
    other = attack.at(0.05)
    assert [part.ball.eps for part in (*other.attacks, other)] == [0.05] * 3
    assert [part.ball.eps for part in (*attack.attacks, attack)] == [0.2] * 3
    index = torch.arange(20)
    again = WorstOf(both(0.05), AbsoluteError(), seed=4)(*case, index=index)
    assert torch.equal(other(*case, index=index).adversarial, again.adversarial)


def test_random_numbers_are_keyed_by_clip_and_differ_between_parts(case) -> None:
    net, x, target = case
    index = torch.arange(20)
    attack = WorstOf([Noise(Linf(0.2)), Noise(Linf(0.2))])
    whole = attack(net, x, target, index=index)
    single = WorstOf([Noise(Linf(0.2))])(net, x, target, index=index)
    assert (whole.objective > single.objective).any()
    part = attack(net, x[[7, 3]], target[[7, 3]], index=index[[7, 3]])
    torch.testing.assert_close(part.adversarial, whole.adversarial[[7, 3]])


def test_a_start_is_used_and_curves_ascend(case) -> None:
    curve = robust_curve(WorstOf(both()), *case, budgets=[0.05, 0.1, 0.2])
    assert (curve.objective.diff(dim=0) >= 0).all()
    strong = PGD(Linf(0.2), AbsoluteError(), steps=100)(*case)
    weak = WorstOf([PGD(Linf(0.2), AbsoluteError(), steps=1, relative_step=1e-6)])
    found = weak(*case, start=strong.perturbation)
    torch.testing.assert_close(found.objective, strong.objective)


def test_parts_are_measured_against_what_each_of_them_needs(case) -> None:
    net, x, target = case
    parts = [PGD(Linf(0.2), PredictionChange()), PGD(Linf(0.2), SquaredError())]
    found = WorstOf(parts, AbsoluteError())(net, x, target)
    assert (found.objective >= found.clean_objective).all()
    torch.testing.assert_close(found.objective, (found.output - target).abs().mean(1))
    own = WorstOf([PGD(Linf(0.2), PredictionChange())])(net, x, target)
    torch.testing.assert_close(own.objective, (own.output - own.clean_output).abs().mean(1))


def test_a_judge_of_the_batch_keeps_one_result_for_all_clips(case) -> None:
    judge = BatchCorrelation()
    parts = [PGD(Linf(0.3), SquaredError()), PGD(Linf(0.3), judge)]
    index = torch.arange(20)
    found = WorstOf(parts, judge)(*case, index=index)
    assert len(found.objective.unique()) == 1
    assert found.objective[0] >= max(
        float(judge(part(*case, index=index).output, case[2])[0]) - 0.02 for part in parts
    )


def test_parts_of_a_configuration_are_compared_by_their_settings(case) -> None:
    """Read from a file, every attack has a ball and a domain of its own."""
    parts = [
        PGD(FrequencyMask(1000, [100], [0, -10], eps=0.2), AbsoluteError()),
        Noise(FrequencyMask(1000, [100], [0, -10], eps=0.2), AbsoluteError()),
    ]
    assert (WorstOf(parts)(*case).objective >= parts[0](*case).clean_objective).all()
    parts = [PGD(L1(0.2, share), AbsoluteError()) for share in (0.1, 0.5)]
    assert (WorstOf(parts)(*case).size <= 0.2 * (1 + 1e-6)).all()
    boxes = [SemanticBox([Gain(6)], 1000) for _ in range(2)]
    parts = [PGD(Linf(1.0), AbsoluteError(), view=View(domain=box)) for box in boxes]
    assert (WorstOf(parts)(*case).size > 0).any()


def test_what_does_not_fit_is_refused(case) -> None:
    with pytest.raises(ValueError, match="at least one attack"):
        WorstOf([])
    other = {
        "ball": PGD(L2(0.2)),
        "view": PGD(Linf(0.2), view=View(read_at="0")),
        "bounds": PGD(Linf(0.2), bounds=(0.0, 1.0)),
        "precision": PGD(Linf(0.2), precision="bf16"),
    }
    for name, attack in other.items():
        with pytest.raises(ValueError, match=f"differ in their {name}"):
            WorstOf([PGD(Linf(0.2)), attack])
    with pytest.raises(ValueError, match="differ in their ball"):
        WorstOf([PGD(Linf(0.2)), PGD(Linf(0.1))])
    masks = [FrequencyMask(1000, [100], [0, low], eps=0.2) for low in (-10, -20)]
    with pytest.raises(ValueError, match="differ in their ball"):
        WorstOf([PGD(mask) for mask in masks])
    boxes = [SemanticBox([Gain(db)], 1000) for db in (6, 12)]
    with pytest.raises(ValueError, match="differ in their view"):
        WorstOf([PGD(Linf(0.2), view=View(domain=box)) for box in boxes])
    with pytest.raises(
        ValueError, match="judge PredictionChange does not measure against the target"
    ):
        WorstOf(both(), PredictionChange())
    with pytest.raises(ValueError, match="starts at the clean clip"):
        WorstOf([PGD(Linf(0.2)), FGSM(Linf(0.2))])(*case[:2])
