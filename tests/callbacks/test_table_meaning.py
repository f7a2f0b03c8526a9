"""What a table of robustness says about the module that it is of."""

from __future__ import annotations

import json

import foreign_modules as foreign
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from attacks import FGSM, Linf
from callbacks import RobustnessEvaluation
from callbacks.robustness_table import Names
from lightning_modules import A2B2E, A2E, A2M2E, BirdSetLogMel, MultiLabelModule, RegressionModule

CLIPS, TARGETS, UNITS = 6, 3, 4


class Linear(nn.Module):
    def __init__(self, embedding_dim):
        super().__init__()
        self.layer = nn.Linear(embedding_dim, TARGETS)

    def forward(self, embedding):
        return self.layer(embedding), None


def network():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.Tanh())
    layers.embedding_dim = 7
    return layers


def meaning(folder, module):
    target = torch.eye(TARGETS).repeat(CLIPS // TARGETS, 1)
    items = [
        {"spectrogram": torch.randn(1, 2, 3), "target": target[i], "index": torch.tensor(i)}
        for i in range(CLIPS)
    ]
    trainer = foreign.trainer(folder, RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1]))
    trainer.test(module, DataLoader([dict(i) for i in items], batch_size=3), verbose=False)
    return json.loads(pq.read_schema(folder / "robustness.parquet").metadata[b"steadyear"])


def test_multilabel_modules_and_decibels(tmp_path):
    found = meaning(tmp_path, MultiLabelModule(network(), Linear, frontend=BirdSetLogMel()))
    assert found["task"] == "multilabel"
    assert found["z_unit_db"] == pytest.approx(4.569)
    assert "supervised_concepts" not in found


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
    assert "task" not in found
    assert "z_unit_db" not in found


def test_units_do_not_get_the_names_of_concepts():
    names = Names(concepts=["minor"], supervised_concepts=False)
    assert names.of_column("clean_concepts") == ()
    assert names.of_column("target_concepts") == ["minor"]
    assert Names(concepts=["minor"]).of_column("clean_concepts") == ["minor"]
