"""A published checkpoint as a module: classes of the data, tests, further training, its own checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from steadyear.lightning_modules import LogMel, PretrainedBirdClassifier, load_published
from tests.lightning_modules.published_files import write_audioprotopnet, write_convnext

WANTED = ["melthr", "ostric2"]


class Birds(LightningDataModule):
    """Four clips of random spectrograms with two species."""

    def __init__(self, target_names: list[str]) -> None:
        super().__init__()
        self.target_names = target_names
        generator = torch.Generator().manual_seed(2)
        target = torch.eye(len(target_names)).repeat(4, 1)[:4]
        self.rows = [
            {
                "spectrogram": torch.randn(1, 64, 96, generator=generator),
                "target": target[i],
                "index": torch.tensor(i),
            }
            for i in range(4)
        ]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=2)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=2)


def trainer(**settings) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", max_epochs=1, **quiet, **settings)


@pytest.mark.parametrize("write_checkpoint", [write_convnext, write_audioprotopnet])
def test_test_takes_the_classes_of_the_data(tmp_path: Path, write_checkpoint) -> None:
    write_checkpoint(tmp_path)
    module = PretrainedBirdClassifier(str(tmp_path))
    birds = Birds(WANTED)
    predictions = torch.cat([out.prediction for out in predict(module, birds)])
    whole = load_published(str(tmp_path))
    spectrograms = torch.stack([row["spectrogram"] for row in birds.rows])
    with torch.no_grad():
        expected = whole.head(whole.network(spectrograms))[0][:, [5, 0]]
    torch.testing.assert_close(predictions, expected)
    (scores,) = trainer(enable_checkpointing=False).test(module, birds, verbose=False)
    assert "test/loss" in scores
    assert module.class_names == WANTED


def predict(module: PretrainedBirdClassifier, birds: Birds):
    birds.predict_dataloader = birds.test_dataloader
    return trainer(enable_checkpointing=False).predict(module, datamodule=birds)


def test_unknown_classes_of_the_data(tmp_path: Path) -> None:
    write_convnext(tmp_path)
    module = PretrainedBirdClassifier(str(tmp_path))
    with pytest.raises(ValueError, match="does not know 1 of 2 classes: houspa"):
        trainer(enable_checkpointing=False).test(module, Birds(["ostric2", "houspa"]))


def test_trained_further_and_read_back(tmp_path: Path) -> None:
    write_audioprotopnet(tmp_path / "published")
    module = PretrainedBirdClassifier(str(tmp_path / "published"))
    fit = trainer(default_root_dir=tmp_path, limit_val_batches=0)
    birds = Birds(WANTED)
    fit.fit(module, datamodule=birds)
    trained = module.head.prototype_vectors.detach().clone()
    published = load_published(str(tmp_path / "published"), WANTED).head.prototype_vectors
    assert trained.shape == published.shape
    assert not torch.equal(trained, published)
    # A second stage with the same data must not cut again.
    trainer(enable_checkpointing=False).test(module, birds, verbose=False)
    assert torch.equal(module.head.prototype_vectors, trained)
    fit.save_checkpoint(tmp_path / "trained.ckpt")
    again = PretrainedBirdClassifier.load_from_checkpoint(tmp_path / "trained.ckpt")
    assert torch.equal(again.head.prototype_vectors, trained)
    other = PretrainedBirdClassifier(str(tmp_path / "published"))
    trainer(enable_checkpointing=False).test(
        other, birds, ckpt_path=tmp_path / "trained.ckpt", verbose=False
    )
    assert torch.equal(other.head.prototype_vectors, trained)


def test_another_front_end(tmp_path: Path) -> None:
    write_convnext(tmp_path)
    own = PretrainedBirdClassifier(str(tmp_path), frontend=LogMel(512, 160, 64, 16000))
    assert own.frontend.sample_rate == 16000
    assert PretrainedBirdClassifier(str(tmp_path)).frontend.sample_rate == 32000
