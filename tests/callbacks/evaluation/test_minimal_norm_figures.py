"""Minimal-norm attacks in a robustness evaluation: one column, median norms, no part in `worst`."""

from __future__ import annotations

import json
import math

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from steadyear.attacks import FMN, L1, L2, PGD, AbsoluteError, Linf, SignAdam
from steadyear.callbacks import RobustnessEvaluation
from tests.callbacks import foreign_modules as foreign


class Linear(LightningModule):
    """Two outputs, of which no clip is predicted without error."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 2)

    def forward(self, x):
        return self.layer(x.flatten(1))

    def test_step(self, batch, batch_idx):
        return None


ATTACKS = {
    "pgd": lambda: PGD(Linf(), steps=3),
    "as_run": lambda: SignAdam(steps=30, learning_rate=0.05),
    "fmn_linf": lambda: FMN(Linf(math.inf), AbsoluteError(tolerance=0.2), steps=20),
    "fmn_l2": lambda: FMN(L2(math.inf), AbsoluteError(tolerance=0.2), steps=20),
    "fmn_l1": lambda: FMN(L1(math.inf), AbsoluteError(tolerance=0.2), steps=20),
}


def evaluate(folder, *names):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 1, 2, 3, generator=generator)
    data = DataLoader(TensorDataset(x, torch.randn(12, 2, generator=generator)), batch_size=5)
    callback = RobustnessEvaluation({name: ATTACKS[name]() for name in names}, [0.1, 0.3])
    trainer = foreign.trainer(folder, callback)
    trainer.test(Linear(), data, verbose=False)
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return folder / "robustness.parquet", figures


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evaluate(tmp_path_factory.mktemp("minimal"), *ATTACKS)


def test_each_has_one_column_in_its_norm(run):
    frame = pd.read_parquet(run[0])
    cells = frame.groupby("attack")[["norm", "budget"]].agg(["unique", "size"])
    assert cells["norm", "unique"].str.join("").to_dict() == {
        "pgd": "linf",
        "as_run": "l2",
        "fmn_linf": "linf",
        "fmn_l2": "l2",
        "fmn_l1": "l1",
    }
    assert cells["budget", "size"].to_dict() == {
        "pgd": 24,
        "as_run": 12,
        "fmn_linf": 12,
        "fmn_l2": 12,
        "fmn_l1": 12,
    }
    assert all(math.isinf(cells["budget", "unique"][name][0]) for name in ("fmn_linf", "fmn_l2"))


def test_the_table_says_which_attacks_minimise_the_norm(run):
    names = json.loads(pq.read_schema(run[0]).metadata[b"steadyear"])
    assert names["minimal_norm"] == ["fmn_linf", "fmn_l2", "fmn_l1"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_median_is_that_of_the_clips_with_success(run, norm):
    frame, figures = pd.read_parquet(run[0]), run[1]
    rows = frame[frame["attack"] == f"fmn_{norm}"]
    growth = rows["attacked_error"] - rows["clean_error"]
    assert (growth[rows["success"]] > 0.2 - 1e-6).all()
    median = rows.loc[rows["success"], f"achieved_{norm}"].median()
    assert figures[f"test/fmn_{norm}@inf/median_norm"] == pytest.approx(median)
    assert "test/pgd@0.3/median_norm" not in figures


def test_a_norm_without_a_column_of_its_own_has_its_size(run):
    frame, figures = pd.read_parquet(run[0]), run[1]
    rows = frame[(frame["attack"] == "fmn_l1") & frame["success"]]
    assert (rows["achieved_size"] >= rows["achieved_l2"] - 1e-6).all()
    assert figures["test/fmn_l1@inf/median_norm"] == pytest.approx(rows["achieved_size"].median())


def test_they_take_no_part_in_the_worst_case(run):
    frame, figures = pd.read_parquet(run[0]), run[1]
    unbounded = frame.loc[frame["attack"] == "as_run", "attacked_error"].mean()
    assert figures["test/worst@inf/error"] == pytest.approx(unbounded)
    pgd = frame.loc[(frame["attack"] == "pgd") & (frame["budget"] == 0.3), "attacked_error"].mean()
    assert figures["test/worst@0.3/error"] == pytest.approx(pgd)


def test_alone_they_have_no_worst_case(tmp_path):
    figures = evaluate(tmp_path, "fmn_l2")[1]
    assert not [name for name in figures if "worst" in name]
