"""Loggers that write into the folder of a run."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import wandb
import yaml
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from steadyear.attacks import FGSM, Linf, View
from steadyear.callbacks import RobustnessEvaluation, RunCSVLogger, RunRecord, RunWandbLogger
from steadyear.callbacks.logging.run_loggers import logged_in
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.own_modules import waveform_module
from tests.callbacks.wandb_file import OfflineRun


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(folder, *entries):
    logger = RunCSVLogger(str(folder))
    for step, metrics in entries:
        logger.log_metrics(metrics, step)
    logger.save()


def test_a_second_stage_appends_and_merges_columns(tmp_path):
    log(tmp_path, (0, {"train/loss": 2.0}), (1, {"train/loss": 1.0}))
    log(tmp_path, (1, {"test/r2": 0.5}))
    log(tmp_path, (2, {"train/loss": 0.5, "a/new": 3.0}))
    found = rows(tmp_path)
    assert [row["step"] for row in found] == ["0", "1", "1", "2"]
    assert [row["train/loss"] for row in found] == ["2.0", "1.0", "", "0.5"]
    assert [row["test/r2"] for row in found] == ["", "", "0.5", ""]
    assert [row["a/new"] for row in found] == ["", "", "", "3.0"]


def test_an_empty_file_of_a_killed_run_is_no_obstacle(tmp_path):
    (tmp_path / "metrics.csv").write_text("")
    log(tmp_path, (0, {"train/loss": 2.0}))
    assert rows(tmp_path) == [{"step": "0", "train/loss": "2.0"}]


def test_fit_and_test_of_a_foreign_module_share_a_file(tmp_path):
    class Saves(foreign.Foreign):
        def __init__(self, width=3):
            super().__init__()
            self.save_hyperparameters()

        def test_step(self, batch, batch_idx):
            self.log("test/figure", 4.0)

    module = Saves()
    for stage in ("fit", "test"):
        trainer = foreign.trainer(tmp_path, logger=RunCSVLogger(str(tmp_path)))
        getattr(trainer, stage)(module, foreign.loader())
    found = rows(tmp_path)
    assert [row["train/loss"] != "" for row in found] == [True, True, False]
    assert found[-1]["test/figure"] == "4.0"
    assert yaml.safe_load((tmp_path / "hparams.yaml").read_text()) == {"width": 3}


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.setenv(name, "set, so that what a test sets is undone")
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    yield tmp_path / "netrc"
    # W&B keeps its process and its settings for the next run.
    wandb.teardown()


def test_logged_in_by_key_or_netrc(no_account, monkeypatch):
    assert not logged_in()
    no_account.write_text("machine example.org\n  login user\n  password secret\n")
    assert not logged_in()
    no_account.write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not logged_in()
    no_account.write_text("machine wandb.example.org\n  login user\n  password secret\n")
    assert logged_in()
    no_account.write_text("this is no netrc file")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert logged_in()


@pytest.mark.parametrize("mode", ["offline", "dryrun", "disabled"])
def test_wandb_mode_has_the_last_word(no_account, monkeypatch, mode):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_MODE", mode)
    assert not logged_in()


@pytest.mark.parametrize(
    ("key", "offline", "expected"), [(True, None, False), (False, None, True), (True, True, True)]
)
def test_offline_unless_logged_in(no_account, monkeypatch, tmp_path, key, offline, expected):
    if key:
        monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    logger = RunWandbLogger(save_dir=str(tmp_path), offline=offline)
    assert logger._offline is expected


def test_disabled_wandb_writes_nothing(no_account, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = RunWandbLogger(save_dir=str(tmp_path / "run"))
    try:
        logger.log_metrics({"figure": 1.0}, 0)
    finally:
        wandb.finish()
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".wandb"] == []


class Data(LightningDataModule):
    clip_ids = ("song1", "song2", "song3", "song4", "song5")
    target_names = ("valence", "energy")

    def loader(self):
        generator = torch.Generator().manual_seed(8)
        items = [
            {
                "waveform": 0.1 * torch.randn(320, generator=generator),
                "target": torch.randn(2, generator=generator),
                "concepts": torch.randn(3, generator=generator),
                "index": torch.tensor(i),
            }
            for i in range(5)
        ]
        return DataLoader(items, batch_size=2)

    train_dataloader = val_dataloader = test_dataloader = loader


def test_wandb_offline_holds_the_whole_run(no_account, tmp_path):
    config = {"experiment": "demo/a2e", "run": "seed0", "data": {"batch_size": 2}}
    parser = SimpleNamespace(dump=lambda config, skip_none: yaml.safe_dump(config))
    folder = tmp_path / "run"
    logger = RunWandbLogger(save_dir=str(folder), name="demo/seed0", group="demo", id="abc")
    inner = FGSM(Linf(), view=View(perturb_at="frontend"))
    trainer = foreign.trainer(
        folder,
        RunRecord(parser, config, save_to_log_dir=False),
        RobustnessEvaluation({"wave": FGSM(Linf()), "inner": inner}, [0.01, 0.1], media_clips=3),
        logger=logger,
    )
    folder.mkdir()
    module = waveform_module(8000)
    try:
        trainer.fit(module, Data())
        trainer.test(module, Data(), verbose=False)
    finally:
        wandb.finish()
        wandb.teardown()  # the file is complete only when its writer has ended

    (written,) = (folder / "wandb").glob("offline-run-*-abc")
    run = OfflineRun(written)
    assert (run.run.project, run.run.display_name, run.run.run_group) == (
        "steadyear",
        "demo/seed0",
        "demo",
    )
    assert config.items() <= run.config.items()
    epochs = [row["train/loss"] for row in run.history if "train/loss" in row]
    assert len(epochs) == 2
    assert run.last("test/wave@0.1/pearson") == pytest.approx(
        trainer.callback_metrics["test/wave@0.1/pearson"].item(), rel=1e-6
    )

    table = run.last("test/robustness")
    assert table["_type"] == "table-file"
    content = json.loads((written / "files" / table["path"]).read_text())
    frame = pd.DataFrame(content["data"], columns=content["columns"])
    stored = pd.read_parquet(folder / "robustness.parquet")
    assert frame["clip"].tolist() == stored["clip"].tolist()
    np.testing.assert_allclose(frame["attacked_error"], stored["attacked_error"])
    energy = [values[1] for values in stored["attacked_prediction"]]
    np.testing.assert_allclose(frame["attacked_prediction/energy"], energy)

    table = run.last("test/contributions")
    content = json.loads((written / "files" / table["path"]).read_text())
    averages = pd.DataFrame(content["data"], columns=content["columns"])
    assert len(averages) == 2 * 2 * 2 * 3  # attacks, budgets, targets, concepts
    changes = averages.groupby(["attack", "budget", "target"])["mean"].sum()
    energy = [
        after[1] - before[1]
        for after, before in zip(
            stored["attacked_prediction"], stored["clean_prediction"], strict=True
        )
    ]
    expected = pd.Series(energy).groupby([stored["attack"], stored["budget"]]).mean()
    assert changes["wave", 0.1, "energy"] == pytest.approx(expected["wave", 0.1], abs=1e-5)

    images = run.last("test/images/inner")
    assert images["count"] == 3
    assert all(
        caption.startswith(f"song{i + 1}, inner at 0.1")
        for i, caption in enumerate(images["captions"])
    )
    for name in images["filenames"]:
        pixels = matplotlib.image.imread(written / "files" / name)
        assert pixels.shape[:2] == (8, 3 * 11 + 2 * 4)
        assert pixels.std() > 0.05

    sounds = run.last("test/audio/wave")
    assert sounds["count"] == 6
    clean, attacked = (
        soundfile.read(written / "files" / sound["path"]) for sound in sounds["audio"][:2]
    )
    assert clean[1] == attacked[1] == 8000
    waveform = next(iter(Data().loader()))["waveform"][0].numpy()
    np.testing.assert_allclose(clean[0], waveform, atol=1e-4)
    np.testing.assert_allclose(np.abs(attacked[0] - clean[0]).max(), 0.1, atol=1e-3)
