"""The evaluation finds universal perturbations on training clips before it tests them on others."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from steadyear.attacks import PGD, Linf, Noise, Shift
from steadyear.attacks.gradient.universal import Universal
from steadyear.callbacks import RobustnessEvaluation
from steadyear.callbacks.evaluation import universal as universal_fit
from tests.callbacks import foreign_modules as foreign

BUDGETS = [0.1, 0.3]


class Data(LightningDataModule):
    """Training clips that are drawn with random numbers, and others to test on."""

    def __init__(self, clips=40, seen=None):
        super().__init__()
        self.clips, self.seen = clips, seen

    def train_dataloader(self):
        def collate(items):
            torch.rand(1)  # as augmentation would
            if self.seen is not None:
                self.seen.append(len(items))
            return torch.utils.data.default_collate(items)

        dataset = TensorDataset(*foreign.tensors(self.clips))
        return DataLoader(dataset, batch_size=8, shuffle=True, collate_fn=collate)

    def test_dataloader(self):
        generator = torch.Generator().manual_seed(99)
        x = torch.randn(12, 6, generator=generator)
        return DataLoader(TensorDataset(x, torch.zeros(12, 2)), batch_size=5)


def evaluate(tmp_path, attacks, data=None, **more):
    callback = RobustnessEvaluation(attacks, BUDGETS, **more)
    trainer = foreign.trainer(tmp_path, callback)
    module = foreign.seeded(foreign.Foreign)
    trainer.test(module, data or Data(), verbose=False)
    return pd.read_parquet(tmp_path / "robustness.parquet"), module


def test_every_budget_is_fitted_on_training_clips_and_hurts_the_others(tmp_path) -> None:
    attack = Universal(Linf(), Shift())
    torch.manual_seed(1)
    state = torch.get_rng_state()
    frame, module = evaluate(tmp_path, {"universal": attack, "noise": Noise(Linf(), Shift())})
    assert not torch.equal(state, torch.get_rng_state())  # the test's own seeding of the module
    assert sorted(attack.perturbations) == BUDGETS
    x, y = foreign.tensors(40)
    for eps in BUDGETS:
        cell = frame[(frame["attack"] == "universal") & (frame["budget"] == eps)]
        assert len(cell) == 12
        assert (cell["gradient_queries"] == 0).all()
        batches = list(zip(x.split(8), y.split(8), strict=True))
        expected = Universal(Linf(eps), Shift()).fit(module, batches).perturbation
        torch.testing.assert_close(attack.at(eps).perturbation, expected)

    def shift(name):
        rows = frame[(frame["attack"] == name) & (frame["budget"] == 0.3)]
        moved = rows["attacked_prediction"] - rows["clean_prediction"]
        return moved.map(lambda values: values.mean()).mean()

    assert shift("universal") > shift("noise") + 0.05
    assert (tmp_path / "sanity.json").exists()


def test_a_bounded_number_of_clips_is_spread_over_the_training_set(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(universal_fit, "BATCHES", 3)
    seen: list[int] = []
    evaluate(tmp_path, {"u": Universal(Linf(), Shift(), epochs=2)}, Data(1000, seen))
    assert seen == [8] * 3 * 2 * len(BUDGETS)


def test_a_loaded_perturbation_is_kept_and_needs_no_training_clips(tmp_path) -> None:
    x, y = foreign.tensors(8)
    module = foreign.seeded(foreign.Foreign)
    fitted = Universal(Linf(0.3), Shift()).fit(module, [(x, y)])
    fitted.save(tmp_path / "found.pt")
    attack = Universal(Linf(), Shift(), path=str(tmp_path / "found.pt"))
    seen: list[int] = []
    evaluate(tmp_path, {"u": attack}, Data(seen=seen))
    assert seen == []
    assert torch.equal(attack.at(0.3).perturbation, fitted.perturbation)


def test_without_training_clips_the_cure_is_named(tmp_path) -> None:
    callback = RobustnessEvaluation({"u": Universal(Linf(), Shift())}, BUDGETS)
    trainer = foreign.trainer(tmp_path, callback)
    with pytest.raises(MisconfigurationException, match="path of a saved"):
        trainer.test(foreign.seeded(foreign.Foreign), Data().test_dataloader(), verbose=False)


def test_the_table_counts_forward_passes(tmp_path) -> None:
    frame, _ = evaluate(tmp_path, {"pgd": PGD(Linf(), steps=3), "noise": Noise(Linf(), tries=4)})
    counts = frame.groupby("attack")[["gradient_queries", "forward_queries"]].agg(["min", "max"])
    assert counts.loc["pgd"].tolist() == [3, 3, 1, 1]
    assert counts.loc["noise"].tolist() == [0, 0, 4, 4]
    columns = list(frame.columns)
    assert columns.index("forward_queries") == columns.index("gradient_queries") + 1
    assert json.loads((tmp_path / "sanity.json").read_text())["stage"] == "test"
