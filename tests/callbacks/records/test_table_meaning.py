"""What a table of robustness says about the module that it is of."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from steadyear.attacks import FGSM, L2, Linf, Noise
from steadyear.callbacks import RobustnessEvaluation
from steadyear.foundation.records import RecordMetadata
from steadyear.lightning_modules import (
    A2B2E,
    A2E,
    A2M2E,
    BirdSetLogMel,
    MultiLabelModule,
    RegressionModule,
)
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.own_modules import LinearHead

CLIPS, TARGETS, UNITS = 6, 3, 4


def head(embedding_dim):
    return LinearHead(embedding_dim, TARGETS)


def network():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.Tanh())
    layers.embedding_dim = 7
    return layers


def meaning(folder, module, attacks=None, budgets=(0.1,)):
    target = torch.eye(TARGETS).repeat(CLIPS // TARGETS, 1)
    items = [
        {"spectrogram": torch.randn(1, 2, 3), "target": target[i], "index": torch.tensor(i)}
        for i in range(CLIPS)
    ]
    trainer = foreign.trainer(
        folder, RobustnessEvaluation(attacks or {"fgsm": FGSM(Linf())}, budgets)
    )
    trainer.test(module, DataLoader([dict(i) for i in items], batch_size=3), verbose=False)
    return json.loads(pq.read_schema(folder / "robustness.parquet").metadata[b"steadyear"])


def test_multilabel_modules_and_decibels(tmp_path):
    found = meaning(tmp_path, MultiLabelModule(network(), head, frontend=BirdSetLogMel()))
    assert found["task"] == "multilabel"
    assert found["z_unit_db"] == pytest.approx(4.569)
    assert "supervised_concepts" not in found


def printed(folder, module, monkeypatch, attacks, budgets):
    """The first column of the printed table, by the names of its rows; all text behind them."""
    said = []
    monkeypatch.setattr("steadyear.callbacks.evaluation.robustness.rank_zero_info", said.append)
    meaning(folder, module, attacks, budgets)
    header, *rows = said[0].strip().splitlines()[:-1]
    return header, {row.split()[0]: row.split()[1] for row in rows}


def test_budgets_in_decibels_stand_in_the_printed_table(tmp_path, monkeypatch):
    module = MultiLabelModule(network(), head, frontend=BirdSetLogMel())
    attacks = {"fgsm": FGSM(Linf()), "noise": Noise(Linf())}
    header, rows = printed(tmp_path / "a", module, monkeypatch, attacks, [0.001, 0.1])
    assert header.split()[:3] == ["budget", "in", "dB"]
    # 4.569 dB are one unit of this front end.
    expected = {"0.001": "0.0046", "0.1": "0.46"}
    cells = {f"{n}@{b}": db for n in (*attacks, "worst") for b, db in expected.items()}
    assert cells.items() <= rows.items()

    attacks["l2"] = FGSM(L2())
    header, rows = printed(tmp_path / "b", module, monkeypatch, attacks, [0.1])
    assert rows["fgsm@0.1"] == "0.46"
    assert rows["l2@0.1"] != "0.46"
    assert "worst@0.1" not in rows
    assert rows["worst(fgsm+noise)@0.1"] == "0.46"

    module = MultiLabelModule(network(), head)
    header, _ = printed(tmp_path / "c", module, monkeypatch, attacks, [0.1])
    assert "dB" not in header


@pytest.mark.parametrize(
    ("head", "unsupervised"),
    [
        (lambda dim: A2B2E(dim, TARGETS, UNITS), True),
        (lambda dim: A2M2E(dim, TARGETS, UNITS), False),
        (lambda dim: A2E(dim, TARGETS), False),
    ],
)
def test_units_that_learn_nothing_from_labels(tmp_path, head, unsupervised):
    weight = float(head(7).supervised_concepts)
    module = RegressionModule(network(), head, concept_weight=weight)
    # Without concepts in the batch only the loss of training would miss them.
    module.collect = lambda output, batch: None
    module.epoch_scores = lambda: {"loss": 0.0}
    found = meaning(tmp_path, module)
    assert found.get("supervised_concepts", True) is not unsupervised
    assert found["task"] == "regression"
    assert "z_unit_db" not in found


def test_units_do_not_get_the_names_of_concepts():
    names = RecordMetadata(concepts=["minor"], supervised_concepts=False)
    assert names.names_in("clean_concepts") == ()
    assert names.names_in("target_concepts") == ["minor"]
    assert RecordMetadata(concepts=["minor"]).names_in("clean_concepts") == ["minor"]
