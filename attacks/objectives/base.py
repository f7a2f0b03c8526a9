"""Objectives: what an attack maximises, one value per clip, and when it has succeeded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, final

from torch import Tensor


class Objective(ABC):
    """One value per clip; larger is worse for the model."""

    against_clean: ClassVar[bool] = False
    """Whether it is always measured against what the model itself says of the clean clip."""

    couples_clips: ClassVar[bool] = False
    """Whether a clip's value depends on the rest of the batch, which is then attacked as one."""

    def reference(self, clean: Tensor, target: Tensor | None) -> Tensor:
        """What predictions are measured against: the target, or what the model says without attack.

        Args:
            clean: Predictions without attack.
            target: The target that was given, if any.
        """
        return clean if target is None or self.against_clean else target

    @property
    def uses_raw_target(self) -> bool:
        """Whether a given target is what predictions are measured against, whatever the model says."""
        plain = type(self).reference is Objective.reference
        return plain and not self.against_clean

    @abstractmethod
    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse a target that does not fit the prediction.

        Raises:
            ValueError: If shapes or types disagree, naming both.
        """

    @abstractmethod
    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Value per clip, shape (batch,), differentiable in ``prediction``."""

    @abstractmethod
    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """How far beyond its aim each clip's attack is, shape (batch,); differentiable.

        Positive exactly where the attack has reached its aim: this defines success.

        Args:
            prediction: Predictions under attack.
            clean: Predictions without attack.
            target: What the objective was measured against.
        """

    def paths(self) -> list[Callable[[Tensor, Tensor, Tensor], Tensor]]:
        """What minimal-norm attacks maximise, one after the other: margins, or smooth stand-ins."""
        return [self.margin]

    @final
    def success(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Whether each clip's attack reached its aim, shape (batch,), bool.

        Args:
            attacked: Predictions under attack.
            clean: Predictions without attack.
            target: What the objective was measured against.
        """
        return self.margin(attacked, clean, target) > 0

    def stationary_at(self, prediction: Tensor, target: Tensor) -> bool:
        """Whether the gradient vanishes because the target is the prediction itself."""
        return False


def refuse_coupled(objective: Objective, attack: object) -> None:
    """Refuse an objective of a whole batch, for attacks that decide clip by clip.

    Args:
        objective: The objective.
        attack: The attack, for the message.

    Raises:
        ValueError: If the objective couples clips.
    """
    if objective.couples_clips:
        raise ValueError(
            f"{type(attack).__name__} decides about every clip alone, and "
            f"{type(objective).__name__} has one value for a whole batch: use PGD or APGD."
        )
