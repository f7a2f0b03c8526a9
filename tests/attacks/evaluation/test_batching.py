"""Attacks batch by batch: the same results, sizes that follow from the memory, and running out."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    EOT,
    PGD,
    AbsoluteError,
    Attack,
    AttackResult,
    Linf,
    Transfer,
    View,
    WorstOf,
)
from steadyear.attacks.evaluation import batching
from steadyear.attacks.evaluation.batching import (
    attack_in_batches,
    bytes_per_clip,
    fitting_batch_size,
)


class Answer(NamedTuple):
    prediction: Tensor
    concepts: Tensor | None


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 3)
        self.largest = 100
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Answer:
        if len(x) > self.largest:
            raise torch.OutOfMemoryError("too many clips")
        self.sizes.append(len(x))
        hidden = self.first(x).tanh()
        return Answer(self.last(hidden), None)


@pytest.fixture
def case() -> tuple[Model, Tensor, Tensor]:
    torch.manual_seed(1)
    return Model(), torch.randn(11, 6), torch.randn(11, 3)


ATTACK = PGD(Linf(0.2), AbsoluteError(), steps=4)


def same(a: AttackResult, b: AttackResult) -> None:
    for name in ("adversarial", "objective", "size"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name))
    torch.testing.assert_close(a.output.prediction, b.output.prediction)
    assert torch.equal(a.success, b.success)
    assert torch.equal(a.gradient_queries, b.gradient_queries)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused(case, batch_size) -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        attack_in_batches(ATTACK, *case, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 4, 11, None])
def test_batches_change_nothing(case, batch_size) -> None:
    whole = ATTACK(*case, index=torch.arange(11))
    parts = attack_in_batches(ATTACK, *case, batch_size=batch_size)
    same(whole, parts)
    assert isinstance(parts.output, Answer)
    assert parts.output.concepts is None


def test_memory_that_runs_out_makes_batches_smaller(case) -> None:
    model, x, target = case
    whole = ATTACK(model, x, target, index=torch.arange(11))
    model.largest, model.sizes = 3, []
    with pytest.warns(UserWarning, match="2 clips at once"):
        parts = attack_in_batches(ATTACK, model, x, target, batch_size=8)
    same(whole, parts)
    assert max(model.sizes) == 2


def test_a_clip_that_does_not_fit_is_an_error(case) -> None:
    model, x, target = case
    model.largest = 0
    with pytest.raises(torch.OutOfMemoryError):
        attack_in_batches(ATTACK, model, x, target, batch_size=1)


def test_what_autograd_keeps_is_counted_without_parameters(case) -> None:
    """Hidden layer of 16 values for tanh and the last layer: one storage; the input is not needed."""
    model, x, _ = case
    kept = bytes_per_clip(ATTACK, model, x)
    assert kept == 16 * 4 + 4 * (6 * 4 + 3 * 4)
    deep = PGD(Linf(0.2), view=View(read_at="first"))
    assert bytes_per_clip(deep, model, x) < kept + 4 * 16 * 4


def test_the_batch_size_follows_from_free_memory_and_starts(case, monkeypatch) -> None:
    model, x, _ = case
    needed = batching._PEAK * bytes_per_clip(ATTACK, model, x)
    monkeypatch.setattr(batching, "_free_bytes", lambda device: int(20 * needed) + 1)
    assert fitting_batch_size(ATTACK, model, x) == 10
    assert fitting_batch_size(PGD(Linf(0.2), restarts=5), model, x) == 2
    monkeypatch.setattr(batching, "_free_bytes", lambda device: 1)
    assert fitting_batch_size(ATTACK, model, x) == 1


BALL = Linf(0.2)
HUNGRY = {
    "pgd": (PGD(BALL, steps=2, restarts=5), 5),
    "apgd": (APGD(BALL, steps=2, restarts=3), 3),
    "worst of": (WorstOf([PGD(BALL, restarts=2), APGD(BALL, restarts=4), PGD(BALL)]), 4),
    "nested": (WorstOf([WorstOf([PGD(BALL, restarts=3)]), PGD(BALL)]), 3),
    "transfer": (Transfer(Model(), PGD(BALL, restarts=3)), 3),
    # The model draws for a batch, or has stages that see it as a whole: one start after the other.
    "eot": (EOT(PGD(BALL, steps=2, restarts=5), samples=2), 1),
    "inside": (PGD(BALL, restarts=5, view=View(perturb_at="first")), 1),
}


@pytest.mark.parametrize(("attack", "copies"), HUNGRY.values(), ids=HUNGRY)
def test_starts_inside_of_attacks_count_as_often_as_they_are_in_the_batch(
    case, monkeypatch, attack: Attack, copies: int
) -> None:
    model, x, target = case
    needed = batching._PEAK * bytes_per_clip(attack, model, x)
    monkeypatch.setattr(batching, "_free_bytes", lambda device: int(120 * needed) + 1)
    assert fitting_batch_size(attack, model, x) == 60 // copies
    asked = attack.source if isinstance(attack, Transfer) else model
    asked.sizes.clear()
    attack(model, x, target)
    assert max(asked.sizes) == copies * len(x)


def test_free_memory_is_a_number_of_this_machine() -> None:
    assert batching._free_bytes(torch.device("cpu")) > 1 << 20


def test_no_clip_is_an_error(case) -> None:
    model, x, target = case
    with pytest.raises(ValueError, match="no clip"):
        attack_in_batches(ATTACK, model, x[:0], target[:0])


class CoupledError(AbsoluteError):
    couples_clips = True


def test_an_objective_of_a_batch_is_not_cut(case) -> None:
    with pytest.raises(ValueError, match="whole batch"):
        attack_in_batches(PGD(Linf(0.2), CoupledError()), *case)
