"""Soundtracks with six real clips, and the published tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from steadyear.datamodules import SoundtracksDataModule
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank
from steadyear.lightning_modules.frontends.statistics import fit_statistics


class Tiny(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.frontend = LogFilterbank()
        self.concepts = torch.nn.Linear(149, 7)
        self.emotions = torch.nn.Linear(7, 8)
        self.tested: list[int] = []

    def setup(self, stage: str) -> None:
        if stage == "fit":
            fit_statistics(self.frontend, self.trainer.datamodule.spectrograms_to_fit())

    def _loss(self, batch: Any) -> torch.Tensor:
        concepts = self.concepts(batch["spectrogram"].mean((1, 2)))
        loss = (self.emotions(concepts) - batch["target"]).square().mean()
        return loss + (concepts - batch["concepts"]).square().mean()

    def training_step(self, batch: Any) -> torch.Tensor:
        return self._loss(batch)

    def validation_step(self, batch: Any) -> None:
        self.log("val/loss", self._loss(batch))

    def test_step(self, batch: Any) -> None:
        assert batch["spectrogram"].shape[1:] == (1, 313, 149)
        assert self._loss(batch).isfinite()
        self.tested += batch["index"].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def _trainer(folder: Path) -> Trainer:
    return Trainer(
        default_root_dir=folder, max_epochs=1, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_six_real_clips_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    """Five of them belong to training, number 21 to the test, and none to validation."""
    root, model, trainer = shared_data / "soundtracks", Tiny(), _trainer(tmp_path)
    with pytest.warns(UserWarning, match="train 5 of 288, val 0 of 36, test 1 of 36"):
        data = SoundtracksDataModule(
            str(root), allow_missing=True, batch_size=2, frontend=model.frontend,
            cache_dir=str(tmp_path),
        )  # fmt: skip
    before = model.emotions.weight.clone()
    trainer.fit(model, data)
    assert not torch.equal(before, model.emotions.weight)
    assert (sorted(data.splits.train), *data.splits[1:]) == ([0, 4, 10, 30, 57], [], [20])
    trainer.test(model, data, verbose=False)
    assert model.tested == [20]
    # The reference signal is clip 11, decoded and resampled by another program.
    reference = np.load(shared_data / "reference" / "film_logspec.npy")
    found = data._spectrograms.load(10)
    assert found.shape == reference.shape
    assert np.abs(found - reference).mean() < 1e-3


def test_published_tables_and_released_logs_agree(shared_data: Path, tmp_path: Path) -> None:
    """The logs name the test clips in order and hold their true ratings."""
    source, root = shared_data / "soundtracks", tmp_path / "soundtracks"
    shutil.copytree(source / "metadata_annotations", root / "metadata_annotations")
    (root / "Set1").mkdir()
    for n in range(1, 361):
        (root / "Set1" / f"{n:03d}.mp3").touch()
    targets = []
    for name in ("mean_ratings_set1.csv", "mean_ratings_set1.tab_variant.csv"):
        shutil.copy(source / name, root / "mean_ratings_set1.csv")
        with pytest.warns(UserWarning, match="read instead"):
            data = SoundtracksDataModule(str(root))
        targets.append(data.clips.targets)
    assert torch.equal(*targets)
    test = data.split_clips().test
    log = pd.read_csv(shared_data / "mer_logs" / "a2e" / "seed21.csv")
    assert log["file"].tolist() == [f"['{data.clip_ids[clip]}.mp3.spec']" for clip in test]
    labels = [np.array(text.strip("[]").split(), dtype=np.float32) for text in log["true-label"]]
    # The study read ratings with more digits than the two that circulate.
    np.testing.assert_allclose(targets[0][test], labels, atol=5.1e-4)
    # Atonality is tonal stability and mode minorness: published correlations, all 360 clips.
    concepts = data.clips.concepts
    table = np.corrcoef(targets[0].T, concepts.T)[:8, 8:]
    assert table[0, 5] == pytest.approx(0.72, abs=5e-3)
    assert table[4, 5] == pytest.approx(-0.66, abs=5e-3)
    assert table[5, 6] == pytest.approx(-0.75, abs=5e-3)
