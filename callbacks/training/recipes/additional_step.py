"""One more step on the adversarial batch, behind the ordinary one."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from steadyear.callbacks.training.recipes.base import Adversary, Recipe


class AdditionalStep(Recipe):
    """After each ordinary step of every n-th epoch, one more step on the adversarial batch.

    The recipe of Hoedt et al. (SMC 2025) with n = 5. The additional step minimises the attack's
    objective against the batch's target, for an emotion model the emotion loss alone. It takes the
    optimiser's current learning rate and is not counted in the trainer's steps; gradients are
    averaged over processes and clipped as the trainer clips them.

    Args:
        every_n_epochs: Epochs n, 2n, 3n ... counted from 1 have the additional steps.

    Raises:
        ValueError: If ``every_n_epochs`` is less than 1.
    """

    def __init__(self, every_n_epochs: int = 5) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is at least 1, not {every_n_epochs}.")
        self.every_n_epochs = every_n_epochs
        self._pending: list[Any] = []

    def check(self, module: LightningModule) -> None:
        """Refuse manual optimisation, which allows no further step.

        Raises:
            MisconfigurationException: If the module optimises by hand.
        """
        if not module.automatic_optimization:
            raise MisconfigurationException(
                "AdditionalStep takes optimiser steps of its own, which a module with manual "
                "optimisation does not allow; use the Madry recipe."
            )

    def start(self, trainer: Trainer) -> None:
        """Check what the additional steps need, before the first epoch is spent.

        Raises:
            MisconfigurationException: If there is not one optimiser, or the losses are scaled.
        """
        self._pending = []
        if len(trainer.optimizers) != 1 or trainer.precision == "16-mixed":
            raise MisconfigurationException(
                "AdditionalStep needs one optimiser and no fp16 loss scaling (use bf16-mixed); got "
                f"{len(trainer.optimizers)} optimisers and precision {trainer.precision}."
            )

    def after_batch(
        self, trainer: Trainer, batch: Any, adversary: Adversary, stepped: bool
    ) -> None:
        """Attack the updated module and step once for all batches of the accumulation window."""
        if (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        self._pending.append(batch)
        if stepped:
            batches, self._pending = self._pending, []
            _additional_step(trainer, batches, adversary)


def _additional_step(trainer: Trainer, batches: list[Any], adversary: Adversary) -> None:
    optimizer, module = trainer.optimizers[0], adversary.module
    parameters = [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]
    optimizer.zero_grad()
    for batch in batches:
        result = adversary.craft(batch)
        with trainer.precision_plugin.forward_context():
            loss = adversary.loss(batch, result) / len(batches)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    _average_over_processes(parameters)
    module.clip_gradients(
        optimizer,
        gradient_clip_val=trainer.gradient_clip_val,
        gradient_clip_algorithm=trainer.gradient_clip_algorithm,
    )
    optimizer.step()
    optimizer.zero_grad()


def _average_over_processes(parameters: list[nn.Parameter]) -> None:
    # This step does not pass through the distributed wrapper, whose hooks would average.
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for parameter in parameters:
            # A parameter without gradient here may have one elsewhere, which waits for this one.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= torch.distributed.get_world_size()
