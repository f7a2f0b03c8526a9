"""Projection of prototypes onto patches of training clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from steadyear.callbacks.batches import BatchKeys


class PrototypePush(Callback):
    """Replaces every prototype by the training patch that resembles it most, after some epochs.

    Only clips that have the prototype's class are searched, in evaluation mode. Before the
    validation of that epoch the vectors are replaced, so what is validated and saved is pushed. A
    prototype whose class has no training clip keeps its vector; AudioProtoPNet sets it to zero,
    which silences the class. Where the data module has a method ``push_dataloader``, that is
    searched; otherwise a new ``train_dataloader``, with the augmentation that its datasets do. Every
    process searches all clips of that loader.

    The module needs ``embed(x)``, which gives maps of features, and as ``head`` an
    ``AudioProtoPNetHead``, or another one with ``prototype_vectors`` and ``matches``.

    Args:
        epochs: Numbers of the epochs, from 0, after which to push.
        keys: Where batches hold input and target; ``None`` finds the usual places.

    Raises:
        ValueError: If no epoch is given, or one is negative.
    """

    def __init__(self, epochs: Sequence[int], keys: BatchKeys | None = None) -> None:
        if not epochs or min(epochs) < 0:
            raise ValueError(f"PrototypePush needs numbers of epochs from 0, not {list(epochs)}.")
        self.epochs = set(epochs)
        self.keys = keys or BatchKeys()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module without prototypes before training.

        Raises:
            ValueError: If it has none.
        """
        head = getattr(pl_module, "head", None)
        if stage == "fit" and not (hasattr(head, "matches") and hasattr(head, "prototype_vectors")):
            raise ValueError(
                f"PrototypePush needs a head with prototypes, and {type(pl_module).__name__} has "
                f"{type(head).__name__}: use AudioProtoPNetHead, or leave the callback out."
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Push after the last batch of a chosen epoch."""
        # Not when the epoch ends: its validation comes before that hook.
        if not (trainer.is_last_batch and trainer.current_epoch in self.epochs):
            return
        data: Any = getattr(trainer, "datamodule", None)
        batches: Any = trainer.train_dataloader
        if data is not None:
            batches = getattr(data, "push_dataloader", data.train_dataloader)()
        found = push_prototypes(pl_module, batches, self.keys)
        head: Any = pl_module.head
        # Every process has searched the same clips; this makes rounding equal, too.
        vectors = trainer.strategy.broadcast(head.prototype_vectors.detach())
        with torch.no_grad():
            head.prototype_vectors.copy_(vectors)
        rank_zero_info(f"Pushed {found} of {len(vectors)} prototypes onto training clips.")


@torch.no_grad()
def push_prototypes(
    module: LightningModule, batches: Iterable[Any], keys: BatchKeys | None = None
) -> int:
    """Replace every prototype by the most similar patch of clips that have its class.

    Args:
        module: Has ``embed`` and a ``head`` with prototypes; its mode is restored.
        batches: Clips to search.
        keys: Where batches hold input and target; ``None`` finds the usual places.

    Returns:
        Number of prototypes that were replaced; the others keep their vectors.
    """
    head: Any = module.head
    vectors: nn.Parameter = head.prototype_vectors
    best = torch.full((len(vectors),), -torch.inf, device=vectors.device)
    patches = vectors.detach().flatten(1).clone()
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        for batch in batches:
            _keep_better(module, move_data_to_device(batch, module.device), keys, best, patches)
    finally:
        for part, training in modes:
            part.training = training
    vectors.copy_(patches.view_as(vectors))
    return int(best.isfinite().sum())


def _keep_better(
    module: Any, batch: Any, keys: BatchKeys | None, best: Tensor, patches: Tensor
) -> None:
    x, target = (keys or BatchKeys()).read(batch)
    found = module.head.matches(module.embed(x), target)
    better = found.similarities > best[found.prototypes]
    chosen = found.prototypes[better]
    best[chosen] = found.similarities[better].to(best.dtype)
    patches[chosen] = found.patches[better].to(patches.dtype)
