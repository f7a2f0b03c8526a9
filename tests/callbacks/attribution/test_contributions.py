"""Contributions in the table of a real test run."""

from __future__ import annotations

import json
import random
from functools import partial

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader

from steadyear.attacks import PGD, Linf, Noise, View
from steadyear.callbacks import RobustnessEvaluation
from steadyear.callbacks.attribution.contributions import average_contributions
from steadyear.callbacks.attribution.linear_probe import fit_probe
from steadyear.callbacks.evaluation.media import flat_table
from steadyear.foundation.records import RecordMetadata
from steadyear.lightning_modules import A2B2E, A2E, A2M2E, RegressionModule
from tests.callbacks import foreign_modules as foreign

CONCEPTS = ["melody", "rhythm", "minor"]


class Network(nn.Sequential):
    """Features of which the last is always 1."""

    embedding_dim = 9

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Dropout(0.5))
        self[2].eval()
        with torch.no_grad():
            self[1].weight[8] = 0

    def forward(self, x):
        return super().forward(x).tanh()


class Clips(LightningDataModule):
    target_names = ("valence", "energy")

    def __init__(self, labels=True):
        super().__init__()
        self.concept_names = CONCEPTS if labels else []
        self.asked = 0
        draw = torch.Generator().manual_seed(3)
        x = torch.randn(50, 1, 2, 3, generator=draw)
        target = torch.randn(50, 2, generator=draw)
        concepts = x.flatten(1)[:, :3] + 0.1 * torch.randn(50, 3, generator=draw)
        self.items = [
            {"spectrogram": x[i], "target": target[i], "index": torch.tensor(i)}
            | ({"concepts": concepts[i]} if labels else {})
            for i in range(50)
        ]

    def train_dataloader(self):
        self.asked += 1
        torch.rand(1)
        return DataLoader(self.items[20:], batch_size=8, shuffle=True, drop_last=True)

    def test_dataloader(self):
        # With a generator of its own, testing leaves the global one alone.
        return DataLoader(self.items[:20], batch_size=8, generator=torch.Generator())


def module(head=A2E, **settings):
    torch.manual_seed(4)
    weight = 0.5 if head is A2M2E else 0.0
    make = partial(head, num_targets=2, **settings)
    return RegressionModule(Network(), make, concept_weight=weight)


def evaluate(folder, made, data, **attacks):
    attacks = attacks or {"noise": Noise(Linf()), "pgd": PGD(Linf(), steps=3)}
    evaluation = RobustnessEvaluation(attacks, [0.1, 0.5])
    trainer = foreign.trainer(folder, evaluation)
    trainer.test(made, data, verbose=False)
    path = folder / "robustness.parquet"
    names = json.loads(pq.read_schema(path).metadata[b"steadyear"])
    return pd.read_parquet(path), names.get("part_names")


def stack(table, column):
    return np.stack(table[column].tolist())


HEADS = {
    "A2E": (A2E, {}, [*CONCEPTS, "remainder"]),
    "A2M2E": (A2M2E, {"num_concepts": 3}, CONCEPTS),
    "A2B2E": (A2B2E, {"num_concepts": 3}, ["unit 0", "unit 1", "unit 2"]),
}


@pytest.mark.parametrize("name", HEADS)
def test_contributions_sum_to_the_change_of_every_prediction(tmp_path, name):
    head, settings, parts = HEADS[name]
    table, named = evaluate(tmp_path, module(head, **settings), Clips())
    assert named == parts
    change = stack(table, "attacked_prediction") - stack(table, "clean_prediction")
    found = stack(table, "contributions").reshape(len(table), 2, len(parts))
    np.testing.assert_allclose(found.sum(2), change, atol=1e-6)
    assert np.abs(change).max() > 0.1
    if head is not A2E:
        # By the definition: weight times change of the concept.
        moved = stack(table, "attacked_concepts") - stack(table, "clean_concepts")
        weight = module(head, **settings).head.to_targets.weight.detach().numpy()
        np.testing.assert_allclose(found, moved[:, None, :] * weight, atol=1e-6)


def test_features_are_grouped_by_the_probe_on_all_training_clips(tmp_path):
    made, data = module(), Clips()
    table, _ = evaluate(tmp_path, made, data, pgd=PGD(Linf(), steps=3))
    made.eval()
    train = torch.stack([item["spectrogram"] for item in data.items[20:]])
    labels = torch.stack([item["concepts"] for item in data.items[20:]])
    with torch.no_grad():
        probe = fit_probe(made(train).embedding, labels)
    owner = probe.groups()
    assert owner[8] == 3  # constant
    names = json.loads(pq.read_schema(tmp_path / "robustness.parquet").metadata[b"steadyear"])
    assert names["part_r2"] == pytest.approx(probe.r2.tolist(), abs=1e-6)
    assert len(set(owner.tolist())) > 2
    rows = table[table["budget"] == 0.5]
    clean = torch.stack([item["spectrogram"] for item in data.items[:20]])
    target = torch.stack([item["target"] for item in data.items[:20]])
    attack = PGD(Linf(0.5), steps=3)
    result = attack(made, clean, target, index=torch.arange(20))
    change = result.output.embedding - result.clean_output.embedding
    weight = made.head.to_targets.weight.detach()
    for concept in range(4):
        chosen = owner == concept
        expected = change[:, chosen] @ weight[:, chosen].T
        found = stack(rows, "contributions").reshape(20, 2, 4)[:, :, concept]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def states():
    return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]


@pytest.mark.parametrize("labels", [True, False])
def test_the_probe_disturbs_nothing(tmp_path, labels):
    made, data = module(), Clips(labels)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    modes = [part.training for part in made.modules()]
    torch.manual_seed(11)
    expected = states()
    evaluate(tmp_path, made, data)
    assert data.asked == int(labels)
    assert states() == expected
    assert [part.training for part in made.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in made.parameters())


def test_without_concept_labels_the_black_box_has_no_contributions(tmp_path, caplog):
    table, named = evaluate(tmp_path, module(), Clips(labels=False))
    assert "contributions" not in table
    assert named is None
    assert (
        "No contributions to the change of predictions: the data names no concepts" in caplog.text
    )


def test_a_problem_with_training_clips_is_told_and_costs_nothing_else(tmp_path, caplog):
    class Broken(Clips):
        def train_dataloader(self):
            torch.rand(1)
            raise RuntimeError("not prepared for a test")

    made = module()
    expected = states()
    table, _ = evaluate(tmp_path, made, Broken())
    assert "contributions" not in table
    assert len(table) == 80
    assert "training clips cannot be read (RuntimeError: not prepared for a test)" in caplog.text
    assert states() == expected


def test_a_perturbation_inside_of_the_head_is_split_too(tmp_path):
    view = View(perturb_at="head.to_concepts")
    made = module(A2M2E, num_concepts=3)
    table, _ = evaluate(tmp_path, made, Clips(), inner=PGD(Linf(), steps=2, view=view))
    change = stack(table, "attacked_prediction") - stack(table, "clean_prediction")
    found = stack(table, "contributions").reshape(len(table), 2, 3).sum(2)
    assert np.abs(change).max() > 0.1
    np.testing.assert_allclose(found, change, atol=1e-6)


class Wrong(RegressionModule):
    def prediction_parts(self, output):
        return 1.001 * super().prediction_parts(output)


def test_parts_that_do_not_sum_to_the_change_are_left_out(tmp_path):
    made = module(A2M2E, num_concepts=3)
    made.__class__ = Wrong
    with pytest.warns(UserWarning, match="miss the change of the predictions by up to"):
        table, named = evaluate(tmp_path, made, Clips())
    assert "contributions" not in table
    assert named is None


def test_foreign_modules_have_no_contributions(tmp_path):
    evaluation = RobustnessEvaluation({"noise": Noise(Linf())}, [0.1])
    foreign.trainer(tmp_path, evaluation).test(foreign.Foreign(), foreign.loader(), verbose=False)
    assert "contributions" not in pd.read_parquet(tmp_path / "robustness.parquet")


def test_averages_and_columns_are_named():
    rows = {"attack": ["a", "a"], "budget": [1.0, 1.0]}
    frame = pd.DataFrame(rows | {"contributions": [[1.0, -2.0], [-3.0, -4.0]]})
    averages = average_contributions(frame, ["energy"], ["melody", "minor"])
    assert averages.to_dict("list") == {
        "attack": ["a", "a"],
        "budget": [1.0, 1.0],
        "target": ["energy", "energy"],
        "part": ["melody", "minor"],
        "mean": [-1.0, -3.0],
        "mean_size": [2.0, 3.0],
    }
    flat = flat_table(frame, RecordMetadata(targets=["energy"], parts=["melody", "minor"]))
    assert flat["contributions/energy/minor"].tolist() == [-2.0, -4.0]
