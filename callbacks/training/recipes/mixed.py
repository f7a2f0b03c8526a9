"""Training on clean and adversarial batches alike."""

from __future__ import annotations

from typing import Any

from steadyear.callbacks.training.recipes.base import Adversary, Recipe, TrainingStep


class Mixed(Recipe):
    """The loss of the clean batch plus the attack's objective on the adversarial one."""

    def step(self, training_step: TrainingStep, batch: Any, adversary: Adversary) -> Any:
        """Train on both."""
        result = adversary.craft(batch)
        return training_step(batch) + adversary.loss(batch, result)
