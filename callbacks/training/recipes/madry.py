"""Training on adversarial batches alone."""

from __future__ import annotations

from typing import Any

from steadyear.callbacks.training.recipes.base import Adversary, Recipe, TrainingStep


class Madry(Recipe):
    """Train on the adversarial batch instead of the clean one (Madry et al., 2018, eq. 2.1)."""

    def step(self, training_step: TrainingStep, batch: Any, adversary: Adversary) -> Any:
        """Attack, then train on the adversarial batch."""
        return adversary.step(training_step, batch, adversary.craft(batch))
