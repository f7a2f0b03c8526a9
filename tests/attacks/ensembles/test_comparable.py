"""Which attacks choose from the same perturbations, whatever they read and however they search."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from steadyear.attacks import (
    EOT,
    L1,
    L2,
    PGD,
    SNR,
    Attack,
    Ball,
    FrequencyMask,
    Gain,
    Linf,
    Noise,
    PredictionChange,
    Psychoacoustic,
    SemanticBox,
    SignAdam,
    SpectrogramDomain,
    Tempo,
    Unbounded,
    View,
    WaveformDomain,
    WorstOf,
)
from steadyear.attacks.domains import Domain
from steadyear.attacks.ensembles.comparable import comparable, same_perturbations

RATE = 1000


class Weighted(Linf):
    """A ball of somebody else, made with a tensor."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights


def inside(domain: Domain) -> View:
    return View(domain=domain)


def mask(low: float, eps: float = 0.1) -> Ball:
    return FrequencyMask(RATE, [100], [0, low], eps)


SAME = {
    "budgets": (PGD(Linf(0.1)), Noise(Linf(0.3))),
    "masks": (PGD(mask(-10)), Noise(mask(-10, 0.2))),
    "psychoacoustic": (PGD(Psychoacoustic(RATE)), Noise(Psychoacoustic(RATE))),
    "boxes": (
        PGD(Linf(), view=inside(SemanticBox([Gain(6), Tempo()], RATE))),
        Noise(Linf(), view=inside(SemanticBox([Gain(6), Tempo()], RATE))),
    ),
    "readings": (PGD(Linf()), PGD(Linf(), PredictionChange(), view=View(field="embedding"))),
    "submodules read": (PGD(Linf()), PGD(Linf(), view=View(read_at="network"))),
    "ensembles": (PGD(Linf()), WorstOf([PGD(Linf()), Noise(Linf())])),
    "expectations": (PGD(Linf()), EOT(PGD(Linf()))),
    # How many values a direction moves is a way to search, no limit.
    "shares": (PGD(L1(share=0.1)), PGD(L1(share=0.01))),
    "snr": (PGD(SNR(0.1)), PGD(SNR(db=40))),
    "unbounded": (SignAdam(), PGD(Unbounded())),
    "bounds": (PGD(Linf(), bounds=(0.0, 1.0)), Noise(Linf(), bounds=(0.0, 1.0))),
    "tensors": (PGD(Weighted(torch.ones(3))), PGD(Weighted(torch.ones(3)))),
}
DIFFERENT = {
    "norms": (PGD(Linf()), PGD(L2())),
    "masks": (PGD(mask(-10)), PGD(mask(-20))),
    "psychoacoustic": (PGD(Psychoacoustic(RATE)), PGD(Psychoacoustic(RATE, bins=64))),
    "boxes": (
        PGD(Linf(), view=inside(SemanticBox([Gain(6)], RATE))),
        PGD(Linf(), view=inside(SemanticBox([Gain(12)], RATE))),
    ),
    "order of a box": (
        PGD(Linf(), view=inside(SemanticBox([Gain(6), Tempo()], RATE))),
        PGD(Linf(), view=inside(SemanticBox([Tempo(), Gain(6)], RATE))),
    ),
    "full scale": (
        PGD(Linf(), view=inside(WaveformDomain())),
        PGD(Linf(), view=inside(WaveformDomain(2.0))),
    ),
    "domains": (PGD(Linf()), PGD(Linf(), view=inside(SpectrogramDomain()))),
    "submodules": (PGD(Linf()), PGD(Linf(), view=View(perturb_at="frontend"))),
    "bounds": (PGD(Linf()), PGD(Linf(), bounds=(0.0, 1.0))),
    # Both report the Euclidean norm.
    "unbounded": (SignAdam(), PGD(L2())),
    "tensors": (PGD(Weighted(torch.ones(3))), PGD(Weighted(torch.zeros(3)))),
}


@pytest.mark.parametrize(("first", "other"), SAME.values(), ids=SAME)
def test_the_same_perturbations(first: Attack, other: Attack) -> None:
    assert same_perturbations(first, other)
    assert same_perturbations(other, first)


@pytest.mark.parametrize(("first", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_other_perturbations(first: Attack, other: Attack) -> None:
    assert not same_perturbations(first, other)
    assert not same_perturbations(other, first)


def test_groups_keep_the_order() -> None:
    attacks = {"a": PGD(mask(-10)), "b": PGD(mask(-20)), "c": Noise(mask(-10)), "d": PGD(SNR())}
    assert comparable(attacks) == [["a", "c"], ["b"], ["d"]]
    assert comparable({}) == []
