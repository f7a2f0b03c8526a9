"""A fit that can be killed; ``test_resume.py`` starts it.

Run as ``resumable_fit.py FOLDER``: it trains until it kills itself in the middle of epoch 2.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Sampler, TensorDataset

from steadyear.attacks import PGD, Linf
from steadyear.callbacks import AdversarialTraining, EpochSeed, Madry
from tests.callbacks import foreign_modules as foreign


class Killed(Callback):
    """Ends the process as a power cut would, in the third batch of epoch 2."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 2 and batch_idx == 2:
            os.kill(os.getpid(), signal.SIGKILL)


class Order(Sampler[int]):
    """A new order in every epoch, from the epoch alone."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return foreign.CLIPS

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.epoch)
        return iter(torch.randperm(foreign.CLIPS, generator=generator).tolist())


def fit(folder: Path, recipe: Any = None, *more: Callback, resume: bool = False) -> torch.Tensor:
    """Weights after four epochs."""
    module = foreign.seeded(foreign.Noisy)
    # The settings of configs/callbacks/last.yaml.
    last = ModelCheckpoint(
        dirpath=folder,
        filename="last",
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    training = AdversarialTraining(PGD(Linf(0.3), steps=2), recipe or Madry())
    trainer = foreign.trainer(
        folder, EpochSeed(11), training, last, *more, max_epochs=4, enable_checkpointing=True
    )
    loader = DataLoader(TensorDataset(*foreign.tensors()), batch_size=8, sampler=Order())
    trainer.fit(module, loader, ckpt_path=str(folder / "last.ckpt") if resume else None)
    return foreign.weights(module)


if __name__ == "__main__":
    fit(Path(sys.argv[1]), None, Killed())
