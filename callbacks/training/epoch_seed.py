"""Randomness that survives an interruption."""

from __future__ import annotations

import os
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from steadyear.foundation.random_streams import seed_global_state, seed_of_epoch


class EpochSeed(Callback):
    """Seeds the global random state at the first batch of every training epoch.

    Dropout and other layers draw from the global random state, which no checkpoint holds. Seeded
    by (seed, process, epoch), a run that was killed and resumed from the checkpoint of an epoch
    draws the same numbers as the uninterrupted one. The order of the data is not its concern: a
    loader that shuffles by the global random state resumes with another order.

    Args:
        seed: First part of the key; ``None`` takes the seed of the run.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed Python, NumPy and torch."""
        # Not when the epoch starts: the loader's iterator draws from the global state, after that
        # hook in an uninterrupted run and before it in a resumed one.
        if batch_idx > 0:
            return
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if self.seed is None else self.seed
        seed_global_state(seed_of_epoch(seed, trainer.current_epoch, trainer.global_rank))
