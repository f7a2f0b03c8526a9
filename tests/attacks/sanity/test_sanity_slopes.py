"""Checks 7 and 20 where the objective is a valley around the clean clip."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.attacks import PGD, EmbeddingDissimilarity, Linf, SquaredError, View
from steadyear.attacks.sanity import Finding, Status, sanity_report
from steadyear.attacks.sanity.checks.result import silent_success
from steadyear.attacks.sanity.protocol.context import AttackOutcome, CheckContext
from tests.attacks import broken_defences as broken

BUDGETS = [1e-3, 1e-2, 0.1]


class Untrained(nn.Module):
    """Patches, normalisation over few channels and one block, as a tiny ConvNeXt has them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 4, 4, 4)
        self.norm = nn.GroupNorm(1, 4)
        self.wider = nn.Conv2d(4, 16, 1)
        self.back = nn.Conv2d(16, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        patches = self.norm(self.patches(x))
        embedding = patches + self.back(F.gelu(self.wider(patches)))
        return {"prediction": self.head(embedding.mean((2, 3))), "embedding": embedding}


def untrained(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Untrained().eval()


def clips(loud: bool) -> Tensor:
    """Spectrograms in z-units; the loud ones lie far from zero."""
    noise = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(9))
    return noise / 2 - 6 if loud else noise


def slopes(model: nn.Module, budget: float, loud: bool = False) -> Finding:
    """What the check says of an attack on embeddings."""
    attack = PGD(Linf(), EmbeddingDissimilarity(), steps=2, view=View(field="embedding"))
    report = sanity_report(model, clips(loud), None, {"a": attack}, [budget], "free")
    return report["finite_differences"].finding


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("loud", [False, True])
def test_an_untrained_network_under_an_attack_on_embeddings_is_healthy(budget, loud):
    for seed in range(4):
        found = slopes(untrained(seed), budget, loud)
        assert found.status is Status.PASS, (seed, found)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("defence", [broken.RoundedInside, broken.HalfDetached, broken.Noisy])
def test_broken_defences_are_caught_at_every_budget(defence, budget):
    found = slopes(defence(untrained(0)).eval(), budget)
    assert found.status is Status.FAIL, found


class Distant(broken.Around):
    """All embeddings nearly parallel: rounding stays, slopes shrink.

    So it is in some untrained networks, and where embeddings were trained to stay where they are.
    """

    distance = 8.0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.network(x)
        return {**found, "embedding": found["embedding"] + self.distance}


class Farther(Distant):
    distance = 200.0


@pytest.mark.parametrize("loud", [False, True])
@pytest.mark.parametrize("parallel", [Distant, Farther])
def test_rounding_is_not_blamed_on_the_model(parallel, loud):
    for seed in range(4):
        found = slopes(parallel(untrained(seed)).eval(), 0.05, loud)
        assert found.status is Status.PASS, (seed, found)
    defence = broken.HalfDetached(parallel(untrained(0))).eval()
    assert slopes(defence, 0.05, loud).status is Status.FAIL


def test_an_error_against_the_own_prediction_is_a_valley_too():
    for seed in range(4):
        attack = PGD(Linf(), SquaredError(), steps=2)
        report = sanity_report(untrained(seed), clips(True), None, {"a": attack}, [1e-3], "free")
        found = report["finite_differences"].finding
        assert found.status is Status.PASS, (seed, found)


def silent(objective: float, beyond: float) -> bool:
    """Whether a point on the path that was worse by so much counts as thrown away."""
    x = torch.zeros(2, 1, 4, 4)
    attack = PGD(Linf(0.1), EmbeddingDissimilarity(), view=View(field="embedding"))
    values = torch.full((2,), objective)
    got = AttackOutcome(
        x, x, x, x, torch.zeros(2), values, values > 0, torch.full((2,), 10), half=False
    )
    path = (torch.zeros(2), values + beyond)
    columns = silent_success(
        CheckContext("a", attack, nn.Identity(), x, None, torch.arange(2), got, path)
    )
    assert columns is not None
    return bool(columns["silent"].all())


def test_the_rounding_of_a_cosine_is_no_point_thrown_away():
    assert not silent(2e-6, beyond=3e-7)
    assert silent(2e-6, beyond=2e-6)
    assert not silent(0.5, beyond=1e-4)
    assert silent(0.5, beyond=2e-3)
