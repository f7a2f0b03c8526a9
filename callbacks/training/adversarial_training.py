"""Adversarial training for any LightningModule."""

from __future__ import annotations

import functools
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from steadyear.attacks import Attack
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.training.cost import ComputeCounter, CountedAdversary
from steadyear.callbacks.training.recipes.base import Adversary, Recipe, TrainingStep
from steadyear.callbacks.training.recipes.madry import Madry
from steadyear.callbacks.training.weight_perturbation import (
    AdversarialWeightPerturbation,
    dry_run,
)
from steadyear.foundation.random_streams import seed_of_key, torch_generator


class AdversarialTraining(Callback):
    """Trains any LightningModule against an attack, without a change to the module.

    The module must be differentiable in its input and call itself in ``training_step``. The
    callback wraps ``training_step`` while ``fit`` runs and unwraps it afterwards, also after an
    exception; it does nothing in other stages. In terms of the loop::

        for batch in loader:
            recipe.step(module.training_step, batch, adversary)   # instead of training_step(batch)
            backward, optimiser step                              # unchanged
            recipe.after_batch(trainer, batch, adversary, stepped)

    Random numbers of the attack are keyed by (seed, process, epoch, batch): the order of the data
    is not disturbed, and a resumed run makes the attacks of the uninterrupted one.

    Args:
        attack: What to train against, with its budget.
        recipe: How clean and adversarial batches combine; ``None`` stands for ``Madry()``.
        keys: Where batches hold input and target; ``None`` finds the usual places.
        weight_perturbation: Perturbs the weights, too, during forward and backward.
        warmup_epochs: Ordinary epochs before the first attack.
        seed: First part of the key of every random number.
    """

    def __init__(
        self,
        attack: Attack,
        recipe: Recipe | None = None,
        keys: BatchKeys | None = None,
        weight_perturbation: AdversarialWeightPerturbation | None = None,
        warmup_epochs: int = 0,
        seed: int = 0,
    ) -> None:
        self.attack = attack
        self.recipe = recipe or Madry()
        self.keys = keys or BatchKeys()
        self.weight_perturbation = weight_perturbation
        self.warmup_epochs = warmup_epochs
        self.seed = seed
        self._batch_idx = 0
        self._steps_before = 0
        self._wrapped: LightningModule | None = None
        self._counter = ComputeCounter()

    @property
    def attack_gradient_queries(self) -> int:
        """Input gradients that this process spent in this fit, one per clip and attack step."""
        return self._counter.attack_gradient_queries

    @property
    def attack_training_clips(self) -> int:
        """Clips that the recipe trained on besides ``training_step``, on this process."""
        return self._counter.attack_training_clips

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Wrap ``training_step`` for ``fit``."""
        if stage != "fit":
            return
        self.recipe.check(pl_module)
        self._unwrap()
        self._counter = ComputeCounter()
        if "training_step" in vars(pl_module):
            raise MisconfigurationException(
                "training_step is wrapped already; a fit takes one AdversarialTraining, with one "
                "recipe."
            )
        original = pl_module.training_step

        # Lightning reads the signature to decide what to pass, so the wrapper must show the same.
        @functools.wraps(original)
        def training_step(batch: Any, *args: Any, **kwargs: Any) -> Any:
            def step(b: Any) -> Any:
                return original(b, *args, **kwargs)

            if not self._active(trainer):
                return step(batch)
            adversary = self._adversary(trainer, pl_module, "step")
            if self._perturbs_weights(trainer):
                self._perturb_weights(step, batch, adversary)
            return self.recipe.step(step, batch, adversary)

        pl_module.training_step = training_step  # type: ignore[method-assign]
        self._wrapped = pl_module

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the recipe prepare; optimisers exist now."""
        self.recipe.start(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the position of the training."""
        self._batch_idx = batch_idx
        self._steps_before = trainer.global_step

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the weights before clipping, averaging and the optimiser."""
        self._restore_weights()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Run the recipe's ``after_batch``."""
        self._restore_weights()  # a step that returned no loss had no backward
        if self._active(trainer):
            stepped = trainer.global_step > self._steps_before
            adversary = self._adversary(trainer, pl_module, "after")
            self.recipe.after_batch(trainer, batch, adversary, stepped)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Unwrap: ``teardown`` does not run after an exception."""
        self._restore_weights()
        self._unwrap()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Unwrap."""
        self._unwrap()

    def _active(self, trainer: Trainer) -> bool:
        return trainer.current_epoch >= self.warmup_epochs

    def _perturbs_weights(self, trainer: Trainer) -> bool:
        weights = self.weight_perturbation
        return weights is not None and trainer.current_epoch >= weights.warmup_epochs

    def _perturb_weights(self, step: TrainingStep, batch: Any, adversary: Adversary) -> None:
        weights = self.weight_perturbation
        assert weights is not None
        self._counter.attack_training_clips += len(self.keys.read(batch)[0])
        with dry_run(adversary.module):
            returned = self.recipe.step(step, batch, adversary)
            if returned is not None:
                loss = returned if isinstance(returned, Tensor) else returned["loss"]
                weights.perturb(adversary.module, loss)

    def _restore_weights(self) -> None:
        if self.weight_perturbation is not None:
            self.weight_perturbation.restore()

    def _unwrap(self) -> None:
        if self._wrapped is not None:
            del self._wrapped.training_step
            self._wrapped = None

    def _adversary(self, trainer: Trainer, module: LightningModule, part: str) -> Adversary:
        key = (self.seed, trainer.global_rank, trainer.current_epoch, self._batch_idx, part)
        # The tuple is one part of the key: trained models depend on its text.
        generator = torch_generator(seed_of_key(key), module.device)
        return CountedAdversary(module, self.attack, self.keys, generator, self._counter)
