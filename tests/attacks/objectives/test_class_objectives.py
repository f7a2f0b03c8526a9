"""Objectives of single-label classifiers: closed forms, the published DLR, aims and refusals."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import APGD, DLR, FMN, CrossEntropy, Linf, Margin, TargetedDLR


@pytest.fixture
def logits() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(30, 6, dtype=torch.float64), torch.randint(6, (30,))


def test_values_written_out() -> None:
    z, y = torch.tensor([[3.0, 1.0, 0.5, -1.0]]), torch.tensor([1])
    assert Margin()(z, y).item() == pytest.approx(2.0)
    assert DLR()(z, y).item() == pytest.approx(2.0 / 2.5)
    assert DLR()(z, torch.tensor([0])).item() == pytest.approx(-2.0 / 2.5)
    # Towards class 3, away from class 0: (-1 - 3) / (3 - (0.5 - 1) / 2).
    assert TargetedDLR(3)(z, torch.tensor([0])).item() == pytest.approx(-4 / 3.25)
    assert TargetedDLR()(z, torch.tensor([[0, 3]])).item() == pytest.approx(-4 / 3.25)


def test_dlr_equals_torchattacks(logits) -> None:
    module = importlib.import_module("torchattacks")
    z, y = logits
    torch.testing.assert_close(DLR()(z, y), module.APGD(nn.Identity()).dlr_loss(z, y))
    towards = torch.randint(6, (30,))
    reference = module.APGDT(nn.Identity(), n_classes=6)
    reference.y_target = towards
    found = TargetedDLR()(z, torch.stack([y, towards], 1))
    torch.testing.assert_close(found, reference.dlr_loss_targeted(z, y, towards))


@pytest.mark.parametrize("objective", [DLR(), TargetedDLR(2)])
def test_ratios_do_not_see_scale_and_shift(logits, objective) -> None:
    z, y = logits
    torch.testing.assert_close(objective(100 * z + 7, y), objective(z, y))


@pytest.mark.parametrize("objective", [Margin(), DLR()])
def test_untargeted_success_is_a_wrong_class(logits, objective) -> None:
    z, y = logits
    assert torch.equal(objective.success(z, z, y), z.argmax(1) != y)
    assert torch.equal(objective(z, y) > 0, z.argmax(1) != y)
    assert torch.equal(objective.margin(z, z, y), CrossEntropy().margin(z, z, y))
    assert len(objective.paths()) == 2


def test_targeted_success_is_the_wanted_class(logits) -> None:
    z, y = logits
    assert torch.equal(TargetedDLR(2).success(z, z, y), z.argmax(1) == 2)
    pairs = torch.stack([y, y.roll(1)], 1)
    assert torch.equal(TargetedDLR().success(z, z, pairs), z.argmax(1) == y.roll(1))
    tie = torch.zeros(1, 4)
    won = [bool(TargetedDLR(k).success(tie, tie, torch.tensor([3]))) for k in range(4)]
    assert won == [True, False, False, False]


def test_targeted_attacks_reach_their_class() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 5))
    x = torch.randn(12, 10)
    with torch.no_grad():
        labels = net(x).argmax(1)
    result = APGD(Linf(1.0), TargetedDLR(3), steps=40)(net, x, labels)
    others = labels != 3
    own = result.output.gather(1, labels[:, None])[:, 0]
    assert (result.output[:, 3] > own)[others].all()
    assert torch.equal(result.success, result.output.argmax(1) == 3)
    assert result.success[others].any()
    small = FMN(Linf(float("inf")), TargetedDLR(3), steps=60)(net, x, labels)
    assert (small.output.argmax(1) == 3).all()
    assert small.success.all()


@pytest.mark.parametrize(
    ("objective", "classes", "target", "match"),
    [
        (Margin(), 4, torch.tensor([4, 0]), "Margin needs logits"),
        (DLR(), 2, torch.tensor([1, 0]), "DLR needs at least 3 classes"),
        (DLR(), 4, torch.zeros(2, 4), "DLR needs logits"),
        (TargetedDLR(1), 3, torch.tensor([1, 0]), "TargetedDLR needs at least 4 classes"),
        (TargetedDLR(4), 4, torch.tensor([1, 0]), "no class 4"),
        (TargetedDLR(), 4, torch.tensor([1, 0]), r"classes of shape \(2, 2\)"),
        (TargetedDLR(1), 4, torch.zeros(2, 2).long(), r"classes of shape \(2,\)"),
        (TargetedDLR(), 4, torch.tensor([[0, 4], [0, 1]]), "needs logits"),
    ],
)
def test_wrong_targets_are_refused(objective, classes, target, match) -> None:
    with pytest.raises(ValueError, match=match):
        objective.check(torch.zeros(2, classes), target)
