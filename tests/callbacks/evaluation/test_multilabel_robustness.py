"""Robustness evaluation of multi-label modules: errors of clips, and robustness scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score
from torch import nn
from torch.utils.data import DataLoader

from steadyear.attacks import (
    FGSM,
    PGD,
    Linf,
    MultiLabelObjective,
    Noise,
    OutputLoss,
    robustness_scores,
)
from steadyear.callbacks import RobustnessEvaluation
from steadyear.lightning_modules import AsymmetricLoss, MultiLabelModule
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.own_modules import LinearHead

CLIPS, CLASSES = 33, 5
BUDGETS = [0.0, 0.4]


def head(embedding_dim):
    return LinearHead(embedding_dim, CLASSES)


class Wanted(MultiLabelObjective):
    """Pulls every clip towards the first class."""

    def __call__(self, prediction, target):
        return prediction[:, 0] - prediction[:, 1:].sum(1)

    def attacker_target(self, prediction):
        wanted = torch.zeros_like(prediction)
        wanted[:, 0] = 1
        return wanted


def data():
    generator = torch.Generator().manual_seed(3)
    target = (torch.rand(CLIPS, CLASSES, generator=generator) < 0.3).float()
    target[:, 4] = 0
    return torch.randn(CLIPS, 1, 2, 3, generator=generator), target


def module():
    torch.manual_seed(5)
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.Tanh())
    network.embedding_dim = 7
    return MultiLabelModule(network, head)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multilabel")
    spectrogram, target = data()
    items = [
        {"spectrogram": spectrogram[i], "target": target[i], "index": torch.tensor(i)}
        for i in range(CLIPS)
    ]
    attacks = {
        "noise": Noise(Linf(), objective=OutputLoss()),
        "pgd": PGD(Linf(), OutputLoss(AsymmetricLoss(reduction="clip")), steps=3),
        "towards": FGSM(Linf(), Wanted()),
    }
    trainer = foreign.trainer(folder, RobustnessEvaluation(attacks, BUDGETS))
    trainer.test(module(), DataLoader(items, batch_size=8), verbose=False)
    figures = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return pd.read_parquet(folder / "robustness.parquet"), figures


def cell(table, attack, budget):
    rows = table[(table["attack"] == attack) & (table["budget"] == budget)]
    return rows, *(
        torch.tensor(np.stack(rows[f"{what}"].tolist()), dtype=torch.float32)
        for what in ("clean_prediction", "attacked_prediction", "target")
    )


@pytest.mark.parametrize("attack", ["noise", "pgd", "towards"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_errors_and_scores_of_clips_are_those_of_the_predictions(run, attack, budget):
    rows, clean, attacked, target = cell(run[0], attack, budget)
    assert torch.equal(target, data()[1])
    for state, prediction in (("clean", clean), ("attacked", attacked)):
        some = target.any(1)
        expected = prediction.sigmoid().max(1).values.double()
        for i in some.nonzero().flatten().tolist():
            expected[i] = 1 - label_ranking_average_precision_score(target[[i]], prediction[[i]])
        np.testing.assert_allclose(rows[f"{state}_error"], expected, rtol=1e-5)
    wanted = Wanted().attacker_target(clean) if attack == "towards" else None
    scores = robustness_scores(clean, attacked, target, wanted, AsymmetricLoss().per_clip)
    np.testing.assert_allclose(rows["prs"], scores.prs, rtol=1e-4)
    if attack != "towards":
        assert rows[["drs", "tars"]].isna().all(axis=None)
        return
    np.testing.assert_allclose(rows["drs"], scores.drs, rtol=1e-4)
    np.testing.assert_allclose(rows["tars"], scores.tars, rtol=1e-4)


def cmap(prediction, target):
    present = target.any(0).nonzero().flatten().tolist()
    return np.mean([average_precision_score(target[:, c], prediction[:, c]) for c in present])


@pytest.mark.parametrize("attack", ["noise", "pgd", "towards"])
def test_figures_of_the_data_set(run, attack):
    table, figures = run
    rows, clean, attacked, target = cell(table, attack, 0.4)
    before, after = cmap(clean, target), cmap(attacked, target)
    name = f"test/{attack}@0.4"
    assert figures["test/clean/cmap"] == pytest.approx(before, rel=1e-5)
    assert figures["test/cmap"] == pytest.approx(before, rel=1e-5)
    assert figures[f"{name}/cmap"] == pytest.approx(after, rel=1e-5)
    assert figures[f"{name}/prs"] == pytest.approx(rows["prs"].mean(), rel=1e-5)
    expected = min(1, np.exp(1 - before / after))
    assert figures[f"{name}/prs_cmap"] == pytest.approx(expected, rel=1e-5)
    assert (f"{name}/tars" in figures) == (attack == "towards")
    assert "test/clean/prs_cmap" not in figures


def test_attacks_are_told_apart(run):
    _, figures = run
    assert figures["test/pgd@0/prs"] == figures["test/pgd@0/prs_cmap"] == 1
    assert figures["test/pgd@0.4/prs"] < figures["test/noise@0.4/prs"] < 1
    assert figures["test/pgd@0.4/prs_cmap"] < 0.8
    assert figures["test/towards@0.4/drs"] < 1
    assert figures["test/worst@0.4/prs_cmap"] <= figures["test/noise@0.4/prs_cmap"]
