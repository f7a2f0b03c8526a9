"""Attacks on the prototypes of a clip's own classes."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import PGD, Linf, View
from steadyear.attacks.objectives.prototypes import OwnPrototypes
from steadyear.lightning_modules import AudioProtoPNetHead, MultiLabelModule

ACTIVATIONS = View(field="prototype_activations")
K = 2


class Map(nn.Module):
    """One convolution with stride, as a backbone."""

    embedding_dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    """A prototype network of three classes; the last clip has no label."""
    torch.manual_seed(0)
    head = partial(AudioProtoPNetHead, num_classes=3, prototypes_per_class=K, init="normal")
    x = torch.randn(4, 1, 16, 16)
    target = torch.tensor([[1.0, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]])
    return MultiLabelModule(Map(), head).eval(), x, target


def by_hand(activations: Tensor, target: Tensor, hide: bool, activate: bool) -> Tensor:
    values = []
    for row, labels in zip(activations, target, strict=True):
        own = [v for i, v in enumerate(row.tolist()) if labels[i // K] == 1]
        other = [v for i, v in enumerate(row.tolist()) if labels[i // K] == 0]
        up = sum(other) / len(other) if activate and other else 0.0
        values.append(up - (sum(own) / len(own) if hide and own else 0.0))
    return torch.tensor(values, dtype=activations.dtype)


@pytest.mark.parametrize(("hide", "activate"), [(True, False), (False, True), (True, True)])
def test_value_and_success_by_hand(case, hide, activate):
    net, x, target = case
    objective = OwnPrototypes(hide, activate, tolerance=0.02)
    result = PGD(Linf(0.2), objective, steps=5, view=ACTIVATIONS)(net, x, target)
    clean, attacked = (
        by_hand(output.prototype_activations.double(), target, hide, activate)
        for output in (result.clean_output, result.output)
    )
    torch.testing.assert_close(result.clean_objective.double(), clean)
    torch.testing.assert_close(result.objective.double(), attacked)
    assert torch.equal(result.success, attacked - clean > 0.02)
    possible = (target.any(1) & hide) | ((target == 0).any(1) & activate)
    assert (attacked > clean).equal(possible)
    assert result.success[possible].any()


def test_only_the_own_prototypes_are_hidden(case):
    """Hiding must not be mistaken for lowering everything: gradients reach the own ones alone."""
    _, _, target = case
    activations = torch.rand(4, 6, requires_grad=True)
    value = OwnPrototypes(activate=False)(activations, target)
    (gradient,) = torch.autograd.grad(value.sum(), activations)
    assert torch.equal(gradient != 0, target.repeat_interleave(K, 1) > 0)
    assert (gradient <= 0).all()


def test_what_does_not_fit_is_refused(case):
    net, x, target = case
    attack = PGD(Linf(0.1), OwnPrototypes(), steps=1, view=ACTIVATIONS)
    with pytest.raises(ValueError, match="needs labels"):
        attack(net, x)
    with pytest.raises(ValueError, match=r"\(4, 6\) and \(4, 4\)"):
        attack(net, x, torch.zeros(4, 4))
    with pytest.raises(ValueError, match="from 0 to 1"):
        attack(net, x, 2 * target)
    with pytest.raises(ValueError, match="hides, activates"):
        OwnPrototypes(hide=False, activate=False)
