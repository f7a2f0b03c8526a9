"""What a recipe of adversarial training is, and the adversary that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

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
        with self._attacked_input(batch, result) as x:
            return self.module(x)

    def log(self, name: str, value: Tensor, batch: Any) -> None:
        """Log the mean of a value over the epoch."""
        size = len(self.keys.read(batch)[0])
        self.module.log(name, value, on_step=False, on_epoch=True, sync_dist=True, batch_size=size)

    def step(self, training_step: TrainingStep, batch: Any, result: Crafted) -> Any:
        """Run the module's own training step on the attacked batch."""
        with self._attacked_input(batch, result) as x:
            return training_step(self.keys.replace(batch, x))

    def loss(self, batch: Any, result: Crafted) -> Tensor:
        """The attack's objective on the attacked batch, a scalar with a graph to the parameters."""
        clean, target = self.keys.read(batch)
        view = self.attack.view
        # Not through the view's own bind, which runs the clean batch to see the perturbed stage:
        # in train mode BatchNorm would count it.
        with (
            self._attacked_input(batch, result) as x,
            View(read_at=view.read_at).bind(self.module, clean) as (forward, _),
        ):
            prediction = view.read(forward(x))
            return self.attack.objective(prediction.float(), target).mean()

    @contextmanager
    def _attacked_input(self, batch: Any, result: Crafted) -> Iterator[Tensor]:
        """What the module is to be called with; a perturbed stage is injected meanwhile."""
        x = self.keys.read(batch)[0]
        value = result.adversarial.to(x.dtype)
        view = self.attack.view
        if view.perturb_at is None:
            yield view.rendered(value, x)
        else:
            with inject(self.module, view.perturb_at, value):
                yield x


class Recipe:
    """How an adversary enters training; every hook may be overridden."""

    def check(self, module: LightningModule) -> None:
        """Refuse a module that the recipe cannot train, before anything is spent."""

    def start(self, trainer: Trainer) -> None:
        """Prepare for a fit; an earlier one may have ended anywhere.

        Args:
            trainer: The trainer, with its optimisers.
        """

    def step(self, training_step: TrainingStep, batch: Any, adversary: Adversary) -> Any:
        """Stand in for ``training_step(batch)``; must call it exactly once, or logs double."""
        return training_step(batch)

    def after_batch(
        self, trainer: Trainer, batch: Any, adversary: Adversary, stepped: bool
    ) -> None:
        """Act after a batch.

        Args:
            trainer: The trainer.
            batch: The clean batch.
            adversary: The attack of this batch.
            stepped: Whether the optimiser stepped, or gradients are still accumulating.
        """
