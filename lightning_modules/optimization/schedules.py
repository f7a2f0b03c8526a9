"""Learning-rate schedules that know how long a training is."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

_FROM_CONFIGURATION = ("warmup", "total_steps")


class WarmupCosine(LRScheduler):
    """A linear rise from 0, then half a cosine down to 0, step by step.

    The schedule of the published bird models, with 5 % of the steps as warm-up. The module tells it
    the number of optimiser steps of the training, and steps it after each of them.

    Args:
        optimizer: The optimiser, whose learning rates are the highest that are reached.
        warmup: Share of the steps that the rise takes.
        total_steps: Number of optimiser steps; ``None`` leaves it to the module.

    Raises:
        ValueError: If ``warmup`` is not a share from 0 to 1.
    """

    def __init__(
        self, optimizer: Optimizer, warmup: float = 0.05, total_steps: int | None = None
    ) -> None:
        if not 0 <= warmup <= 1:
            raise ValueError(f"warmup is a share of the steps from 0 to 1, not {warmup:g}.")
        self.warmup = warmup
        self.total_steps = total_steps
        super().__init__(optimizer)

    def plan(self, total_steps: float) -> None:
        """Take the number of optimiser steps, unless one was given.

        Args:
            total_steps: Number of steps; infinite if nobody knows.

        Raises:
            ValueError: If it is infinite.
        """
        if self.total_steps is not None:
            return
        if not math.isfinite(total_steps):
            raise ValueError(
                "WarmupCosine needs to know the end of the training: set trainer.max_epochs or "
                "trainer.max_steps, or the schedule's total_steps."
            )
        self.total_steps = int(total_steps)

    def get_lr(self) -> list[float | Any]:
        """Learning rate of each parameter group at the current step."""
        factor = self._factor(self.last_epoch)
        return [base * factor for base in self.base_lrs]

    def _factor(self, step: int) -> float:
        if self.total_steps is None:
            # Only the very first step is asked for before the plan is known.
            return 0.0 if self.warmup > 0 else 1.0
        rise = math.ceil(self.warmup * self.total_steps)
        if step < rise:
            return step / rise
        done = (step - rise) / max(1, self.total_steps - rise)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: where the schedule is, not what the configuration says."""
        state = super().state_dict()
        return {key: value for key, value in state.items() if key not in _FROM_CONFIGURATION}
