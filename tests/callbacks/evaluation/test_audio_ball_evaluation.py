"""Robustness evaluation of waveforms in the balls that are made for them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader

from steadyear.attacks import APGD, PGD, Noise
from steadyear.attacks.balls import L1, SNR, FrequencyMask, Psychoacoustic
from steadyear.callbacks import RobustnessEvaluation
from steadyear.lightning_modules import A2M2E, LogMel, RegressionModule
from tests.callbacks import foreign_modules as foreign

RATE = 800
BUDGETS = [0.01, 0.1]


class Waves(LightningDataModule):
    """Waveforms of 12 clips; the third one is silent."""

    target_names = ("valence", "energy")

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.waveform = 0.1 * torch.randn(12, 320, generator=generator)
        self.waveform[2] = 0
        self.target = torch.randn(12, 2, generator=generator)
        self.concepts = torch.randn(12, 3, generator=generator)

    def test_dataloader(self) -> DataLoader:
        names = ("waveform", "target", "concepts")
        items = [
            {name: getattr(self, name)[i] for name in names} | {"index": torch.tensor(i)}
            for i in range(12)
        ]
        return DataLoader(items, batch_size=5)


def module() -> RegressionModule:
    torch.manual_seed(5)
    frontend = LogMel(64, 32, 8, sample_rate=RATE, mean=-30.0, std=20.0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8 * 11, 6), nn.Tanh())
    network.embedding_dim = 6
    return RegressionModule(network, lambda dim: A2M2E(dim, 2, 3), frontend, concept_weight=0.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[pd.DataFrame, dict]:
    folder = tmp_path_factory.mktemp("balls")
    mask = FrequencyMask(RATE, [100.0], [-np.inf, 0.0])
    attacks = {
        "l1": APGD(L1(), steps=3),
        "snr": PGD(SNR(), steps=3),
        "noise": Noise(SNR()),
        "bands": PGD(mask, steps=3),
        "masking": PGD(Psychoacoustic(RATE, bins=64), steps=3),
    }
    callback = RobustnessEvaluation(attacks, BUDGETS)
    foreign.trainer(folder, callback).test(module(), Waves(), verbose=False)
    table = pd.read_parquet(folder / "robustness.parquet")
    return table, json.loads((folder / "sanity.json").read_text())


def test_budgets_are_those_of_the_balls(run) -> None:
    table, _ = run
    norms = table.groupby("attack")["norm"].unique().map(list).to_dict()
    assert norms == {
        "l1": ["l1"],
        "snr": ["snr"],
        "noise": ["snr"],
        "bands": ["bands"],
        "masking": ["masking"],
    }
    assert set(table["domain"]) == {"waveform"}
    sound = table[table["index"] != 2]
    for budget, wanted in ((0.01, 40), (0.1, 20)):
        spent = sound[(sound["norm"] == "snr") & (sound["budget"] == budget)]
        # The attack may find its worst point inside the ball.
        assert (spent["snr_db"] > wanted - 1e-3).all()
        assert spent.loc[spent["attack"] == "noise", "snr_db"].to_numpy() == pytest.approx(
            wanted, abs=1e-3
        )
        masked = sound[(sound["norm"] == "masking") & (sound["budget"] == budget)]
        assert (masked["snr_db"] > wanted).all()
    silent = table[(table["index"] == 2) & table["norm"].isin(["snr", "bands"])]
    assert (silent["achieved_linf"] == 0).all()


def test_no_sanity_check_fails_by_the_ball(run) -> None:
    _, report = run
    status = {check["name"]: check["status"] for check in report["checks"]}
    for name in ("budget", "identity", "artefact", "clean_score"):
        assert status[name] == "PASS", (name, report)
