"""Parts of a module that are frozen in the first epochs, or throughout the training."""

from __future__ import annotations

from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn


class WarmPhase(Callback):
    """Freezes parts of a module for the first epochs, or for the whole training.

    The published AudioProtoPNet models were trained with a frozen backbone throughout. A part that
    is unfrozen later is in the optimiser from the start; without a gradient the optimiser skips it,
    so its schedule, its parameter groups and a resumed run are those of any other training. In
    several processes such a part needs ``strategy: ddp_find_unused_parameters_true``. Frozen
    parts stay in training mode. Attacks freeze and restore on their own, and go through frozen parts.

    Args:
        epochs: Number of epochs after which the parts are unfrozen; ``None`` keeps them frozen.
        parts: Names of submodules or parameters, such as ``network`` or ``head.last_layer``.

    Raises:
        ValueError: If ``epochs`` is negative, or there is no part.
    """

    def __init__(self, epochs: int | None = None, parts: Sequence[str] = ("network",)) -> None:
        if not parts or (epochs is not None and epochs < 0):
            raise ValueError(f"WarmPhase needs parts and epochs >= 0, not {parts} and {epochs}.")
        self.epochs = epochs
        self.parts = list(parts)
        self._frozen: list[nn.Parameter] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the parts; freeze those that stay frozen before the optimiser is made.

        Raises:
            ValueError: If the module has no such part.
        """
        if stage != "fit":
            return
        self._frozen = [p for name in self.parts for p in _parameters(pl_module, name)]
        # What was frozen elsewhere must stay frozen.
        self._frozen = [parameter for parameter in self._frozen if parameter.requires_grad]
        if self.epochs is None:
            self._set(trainable=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze or unfreeze by the number of the epoch."""
        if self.epochs is not None:
            self._set(trainable=trainer.current_epoch >= self.epochs)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the module."""
        self._set(trainable=True)
        self._frozen = []

    def _set(self, trainable: bool) -> None:
        for parameter in self._frozen:
            parameter.requires_grad_(trainable)
            if not trainable:
                parameter.grad = None


def _parameters(module: nn.Module, name: str) -> list[nn.Parameter]:
    found = [p for key, p in module.named_parameters() if key == name or key.startswith(f"{name}.")]
    if not found:
        parts = sorted({key.split(".")[0] for key, _ in module.named_parameters()})
        raise ValueError(f"The module has no part {name!r} with parameters, but {parts}.")
    return found
