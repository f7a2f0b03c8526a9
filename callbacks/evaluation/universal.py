"""Fits universal perturbations on training clips, before they are tested on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from steadyear.attacks import Attack
from steadyear.attacks.gradient.universal import Universal
from steadyear.callbacks.batches import BatchKeys

BATCHES = 32
"""Largest number of training batches that a universal perturbation is found on."""


def fit_universal(
    trainer: Trainer,
    module: LightningModule,
    attacks: Mapping[str, Attack],
    budgets: Sequence[float],
    keys: BatchKeys,
) -> None:
    """Find the perturbation of every universal attack at every budget, on training clips.

    At most ``BATCHES`` batches are read, spread evenly over the training set, in order, without the
    sampler of training and without workers. Every process gets what the first one found. Random
    numbers stay as they are. Attacks with a loaded perturbation keep it.

    Raises:
        MisconfigurationException: If the data module has no training clips to give.
    """
    wanted = {
        name: attack
        for name, attack in attacks.items()
        if isinstance(attack, Universal) and attack.path is None
    }
    if not wanted:
        return
    with isolate_rng():
        batches = _TrainingClips(trainer, module, keys)
        for name, attack in wanted.items():
            attack.perturbations.clear()  # those of an earlier module
            for eps in budgets:
                fitted = attack.at(eps)
                if eps > 0:
                    found = fitted.fit(module, batches).perturbations[eps]
                    attack.perturbations[eps] = trainer.strategy.broadcast(found)
            rank_zero_info(f"{name}: one perturbation per budget, found on {batches}.")


class _TrainingClips:
    """Some training batches on the module's device; can be iterated repeatedly."""

    def __init__(self, trainer: Trainer, module: LightningModule, keys: BatchKeys) -> None:
        self.trainer, self.module, self.keys = trainer, module, keys
        data: Any = getattr(trainer, "datamodule", None)
        try:
            # Without augmentation, where the data module offers that.
            loader: Any = getattr(data, "push_dataloader", data.train_dataloader)()
            size = int(loader.batch_size or 1)
            dataset: Any = loader.dataset
        except Exception as error:
            raise MisconfigurationException(
                "A universal perturbation is found on training clips, which cannot be read here "
                f"({type(error).__name__}: {error}): test with a data module that has them, or give "
                "the attack the path of a saved perturbation."
            ) from error
        clips = len(dataset) if isinstance(dataset, Sized) else 0
        if clips > BATCHES * size:
            chosen = torch.linspace(0, clips - 1, BATCHES * size).long().tolist()
            dataset = Subset(dataset, chosen)
        self.loader: DataLoader[Any] = DataLoader(dataset, size, collate_fn=loader.collate_fn)

    def __repr__(self) -> str:
        """How many clips there are."""
        dataset = self.loader.dataset
        return f"{len(dataset)} training clips" if isinstance(dataset, Sized) else "training clips"

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Input and target of every batch."""
        for number, batch in enumerate(self.loader):
            if number == BATCHES:
                return
            yield self.keys.read(self.trainer.strategy.batch_to_device(batch))
