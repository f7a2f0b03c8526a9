"""Objectives: what an attack maximises, one value per clip, and when it has succeeded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Objective(ABC):
    """One value per clip; larger is worse for the model."""

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
    def success(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Whether each clip's attack reached its aim, shape (batch,), bool.

        Args:
            attacked: Predictions under attack.
            clean: Predictions without attack.
            target: What the objective was measured against.
        """

    def flat_at(self, prediction: Tensor, target: Tensor) -> bool:
        """Whether the gradient vanishes because the target is the prediction itself."""
        return False


class RegressionObjective(Objective):
    """Base of the objectives that compare real values.

    Args:
        output: Position of the only output to attack; ``None`` attacks all of them.
        tolerance: The attack succeeds when the mean absolute error over the attacked outputs
            grows by more than this, in the unit of the target.
    """

    def __init__(self, output: int | None = None, tolerance: float = 0.1) -> None:
        self.output = output
        self.tolerance = tolerance

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not real values of the prediction's shape."""
        if prediction.shape != target.shape or not target.is_floating_point():
            raise ValueError(
                f"{type(self).__name__} compares real values of one shape; the model predicts "
                f"{tuple(prediction.shape)} and the target is {tuple(target.shape)} of "
                f"{target.dtype}. For class labels use CrossEntropy."
            )
        if prediction.ndim < 2:
            raise ValueError(
                f"{type(self).__name__} needs predictions (batch, outputs), not "
                f"{tuple(prediction.shape)}."
            )
        if self.output is not None and not 0 <= self.output < prediction.shape[-1]:
            raise ValueError(
                f"There is no output {self.output}: the model has {prediction.shape[-1]}."
            )

    def difference(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Prediction minus target over the attacked outputs, shape (batch, outputs)."""
        return self.chosen(prediction - target).flatten(1)

    def chosen(self, values: Tensor) -> Tensor:
        """The attacked outputs, which are the last dimension of ``values``."""
        return values if self.output is None else values[..., [self.output]]

    def success(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Whether the mean absolute error grew by more than the tolerance."""
        before = self.difference(clean, target).abs().mean(1)
        return self.difference(attacked, target).abs().mean(1) > before + self.tolerance

    def flat_at(self, prediction: Tensor, target: Tensor) -> bool:
        """An error against the prediction itself has its minimum there."""
        return bool(torch.equal(prediction, target))


class SquaredError(RegressionObjective):
    """Mean squared error over the attacked outputs; what hurts RMSE and R2."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error per clip."""
        return self.difference(prediction, target).square().mean(1)


class AbsoluteError(RegressionObjective):
    """Mean absolute error over the attacked outputs; what hurts MAE."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean absolute error per clip."""
        return self.difference(prediction, target).abs().mean(1)


class Towards(RegressionObjective):
    """Pull the attacked outputs towards values of the attacker's choice.

    Args:
        value: One value for all attacked outputs, or one for each.
        output: Position of the only output to attack; ``None`` attacks all of them.
        tolerance: The attack succeeds when the mean absolute distance to the value is at most this.
    """

    def __init__(
        self, value: float | Sequence[float], output: int | None = None, tolerance: float = 0.1
    ) -> None:
        super().__init__(output, tolerance)
        self.value = value

    def _distance(self, prediction: Tensor) -> Tensor:
        outputs = prediction.shape[-1] if self.output is None else 1
        value = torch.as_tensor(self.value, dtype=prediction.dtype, device=prediction.device)
        if value.ndim > 0 and len(value) != outputs:
            raise ValueError(f"Towards has {len(value)} values for {outputs} attacked outputs.")
        return (self.chosen(prediction) - value).flatten(1)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Negative mean squared distance to the value, per clip."""
        return -self._distance(prediction).square().mean(1)

    def success(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Whether the value was reached within the tolerance."""
        return self._distance(attacked).abs().mean(1) <= self.tolerance

    def flat_at(self, prediction: Tensor, target: Tensor) -> bool:
        """The aim does not depend on the target."""
        return False


class CrossEntropy(Objective):
    """Cross-entropy of a single-label classifier; success is a wrong class."""

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse targets that are not one class number per clip."""
        if (
            prediction.ndim != 2
            or target.shape != prediction.shape[:1]
            or target.dtype != torch.int64
            or not bool(((target >= 0) & (target < prediction.shape[1])).all())
        ):
            raise ValueError(
                "CrossEntropy needs logits (batch, classes) and one int64 class from 0 to "
                f"classes - 1 per clip; got {tuple(prediction.shape)} and {tuple(target.shape)} of "
                f"{target.dtype}."
            )

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy per clip."""
        return F.cross_entropy(prediction, target, reduction="none")

    def success(self, attacked: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Whether the most likely class is not the target."""
        return attacked.argmax(1) != target
