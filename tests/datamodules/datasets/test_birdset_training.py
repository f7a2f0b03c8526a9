"""Spectrograms of BirdSet come from the front end of the model that is trained."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from steadyear.datamodules import BirdSetDataModule
from steadyear.lightning_modules.frontends.statistics import fit_statistics
from tests.datamodules.birdset_miniature import Make, PowerLogMel


class Recorder(LightningModule):
    """Keeps the batches that reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = PowerLogMel()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, dict[str, Tensor]]] = []

    def setup(self, stage: str) -> None:
        fit_statistics(self.frontend, self.trainer.datamodule.spectrograms_to_fit())

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.seen.append(("train", batch))
        return self.weight.sum()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.seen.append(("val", batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def _run(data: BirdSetDataModule, epochs: int = 1) -> Recorder:
    module = Recorder()
    data.frontend = module.frontend
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False}
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data)
    return module


def test_spectrograms_come_from_the_models_fitted_front_end(make: Make) -> None:
    module = _run(make(None, stream="both", frontend=None))
    assert bool(module.frontend.fitted)
    stages = {stage for stage, _ in module.seen}
    assert stages == {"train", "val"}
    values = []
    for stage, batch in module.seen:
        expected = module.frontend(batch["waveform"])
        torch.testing.assert_close(batch["spectrogram"], expected)
        values += [batch["spectrogram"]] if stage == "train" else []
    assert abs(float(torch.cat(values).mean())) < 0.2
    only = _run(make(None, stream="spectrogram", frontend=None)).seen[0][1]
    assert set(only) == {"spectrogram", "target", "index"}
    assert set(_run(make(None, frontend=None)).seen[0][1]) == {"waveform", "target", "index"}


def test_power_is_augmented_while_training_only(make: Make) -> None:
    drawn: list[float] = []

    def mask(power: Tensor, generator: torch.Generator) -> Tensor:
        assert power.shape[1] == 129
        drawn.append(float(torch.rand(1, generator=generator)))
        return power * 100  # plus 20 dB

    settings: dict[str, Any] = {"stream": "both", "spectrogram_augmentation": mask}
    module = _run(make(None, frontend=None, **settings), epochs=2)
    for stage, batch in module.seen:
        shift = (batch["spectrogram"] - module.frontend(batch["waveform"])) * module.frontend.std
        wanted = torch.full_like(shift, 20.0 if stage == "train" else 0.0)
        torch.testing.assert_close(shift, wanted, atol=2e-3, rtol=0)
    assert len(set(drawn)) == len(drawn) == sum(stage == "train" for stage, _ in module.seen)
    again = list(drawn)
    drawn.clear()
    _run(make(None, frontend=None, **settings), epochs=2)
    assert drawn == again
