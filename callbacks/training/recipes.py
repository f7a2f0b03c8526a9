"""Recipes: how clean and adversarial batches combine in training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.distributed
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from steadyear.attacks import Attack, Crafted, View, inject
from steadyear.callbacks.batches import BatchKeys

TrainingStep = Callable[[Any], Any]


@dataclass(frozen=True)
class Adversary:
    """The attack of one training batch.

    Args:
        module: The module in training, not wrapped for distribution.
        attack: What it trains against.
        keys: Where its batches hold input and target.
        generator: Random numbers of this batch.
    """

    module: LightningModule
    attack: Attack
    keys: BatchKeys
    generator: torch.Generator
    _crafted: list[tuple[Any, Crafted]] = field(default_factory=list, init=False, repr=False)

    def craft(self, batch: Any) -> Crafted:
        """Attack the batch, once; the module's mode and gradients stay untouched."""
        for known, result in self._crafted:
            if known is batch:
                return result
        x, target = self.keys.read(batch)
        result = self.attack.craft(self.module, x, target, generator=self.generator)
        self._crafted[:] = [(batch, result)]
        return result

    def output(self, batch: Any, result: Crafted) -> Any:
        """The module's output on the attacked batch, with a graph to the parameters."""
        x = self.keys.read(batch)[0]
        value = result.adversarial.to(x.dtype)
        name = self.attack.view.perturb_at
        if name is None:
            return self.module(self.attack.view.rendered(value, x))
        with inject(self.module, name, value):
            return self.module(x)

    def log(self, name: str, value: Tensor, batch: Any) -> None:
        """Log the mean of a value over the epoch."""
        size = len(self.keys.read(batch)[0])
        self.module.log(name, value, on_step=False, on_epoch=True, sync_dist=True, batch_size=size)

    def step(self, training_step: TrainingStep, batch: Any, result: Crafted) -> Any:
        """Run the module's own training step on the attacked batch."""
        x = self.keys.read(batch)[0]
        value = result.adversarial.to(x.dtype)
        name = self.attack.view.perturb_at
        if name is not None:
            with inject(self.module, name, value):
                return training_step(batch)
        return training_step(self.keys.replace(batch, self.attack.view.rendered(value, x)))

    def loss(self, batch: Any, result: Crafted) -> Tensor:
        """The attack's objective on the attacked batch, a scalar with a graph to the parameters."""
        x, target = self.keys.read(batch)
        name, read_at = self.attack.view.perturb_at, self.attack.view.read_at
        value = result.adversarial.to(x.dtype)
        # Not through the view's own bind, which runs the clean batch to see the perturbed stage:
        # in train mode BatchNorm would count it.
        entered = nullcontext() if name is None else inject(self.module, name, value)
        with entered, View(read_at=read_at).bind(self.module, x) as (forward, _):
            shown = self.attack.view.rendered(value, x) if name is None else x
            prediction = self.attack.view.read(forward(shown))
            return self.attack.objective(prediction.float(), target).mean()


class Recipe:
    """How an adversary enters training; every hook may be overridden."""

    replaces_step: ClassVar[bool] = False
    """Whether the recipe takes an optimiser step of its own, which manual optimisation forbids."""

    def start(self, trainer: Trainer) -> None:
        """Prepare for a fit; an earlier one may have ended anywhere.

        Args:
            trainer: The trainer, with its optimisers.
        """

    def step(self, training_step: TrainingStep, batch: Any, adversary: Adversary) -> Any:
        """Stand in for ``training_step(batch)``; must call it exactly once, or logs double."""
        return training_step(batch)

    def after_batch(
        self,
        trainer: Trainer,
        batch: Any,
        adversary: Adversary,
        stepped: bool,
    ) -> None:
        """Act after a batch.

        Args:
            trainer: The trainer.
            batch: The clean batch.
            adversary: The attack of this batch.
            stepped: Whether the optimiser stepped, or gradients are still accumulating.
        """


class Madry(Recipe):
    """Train on the adversarial batch instead of the clean one (Madry et al., 2018, eq. 2.1)."""

    def step(self, training_step: TrainingStep, batch: Any, adversary: Adversary) -> Any:
        """Attack, then train on what came out."""
        return adversary.step(training_step, batch, adversary.craft(batch))


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

    replaces_step = True

    def __init__(self, every_n_epochs: int = 5) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is at least 1, not {every_n_epochs}.")
        self.every_n_epochs = every_n_epochs
        self._waiting: list[Any] = []

    def start(self, trainer: Trainer) -> None:
        """Check what the additional steps need, before the first epoch is spent.

        Raises:
            MisconfigurationException: If there is not one optimiser, or the losses are scaled.
        """
        self._waiting = []
        if len(trainer.optimizers) != 1 or trainer.precision == "16-mixed":
            raise MisconfigurationException(
                "AdditionalStep needs one optimiser and no fp16 loss scaling (use bf16-mixed); got "
                f"{len(trainer.optimizers)} optimisers and precision {trainer.precision}."
            )

    def after_batch(
        self,
        trainer: Trainer,
        batch: Any,
        adversary: Adversary,
        stepped: bool,
    ) -> None:
        """Attack the updated module and step once for all batches of the accumulation window."""
        if (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        self._waiting.append(batch)
        if stepped:
            batches, self._waiting = self._waiting, []
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
