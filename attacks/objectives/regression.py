"""Objectives for real-valued predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.objectives.base import Objective


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

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Growth of the mean absolute error, minus the tolerance."""
        before = self.difference(clean, target).abs().mean(1)
        # A difference of floats has the sign of their comparison, so nothing is lost at the edge.
        return self.difference(prediction, target).abs().mean(1) - (before + self.tolerance)

    def stationary_at(self, prediction: Tensor, target: Tensor) -> bool:
        """An error against the prediction itself has its minimum there."""
        return bool(torch.equal(prediction, target))


class SquaredError(RegressionObjective):
    """Mean squared error over the attacked outputs; lowers R2 and raises RMSE."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error per clip."""
        return self.difference(prediction, target).square().mean(1)


class AbsoluteError(RegressionObjective):
    """Mean absolute error over the attacked outputs; raises MAE."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean absolute error per clip."""
        return self.difference(prediction, target).abs().mean(1)


class PredictionChange(RegressionObjective):
    """Mean absolute change of whatever the view reads, for example the concepts of a bottleneck.

    Always measured against what the model itself says of the clean clip, so no target is compared.
    It is flat there: an attack needs a random start.

    Args:
        output: Position of the only value to attack; ``None`` attacks all of them.
        tolerance: The attack succeeds when the mean absolute change exceeds this, in the unit of
            what is read.
    """

    against_clean: ClassVar[bool] = True

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean absolute change per clip."""
        return self.difference(prediction, target).abs().mean(1)


class Huber(RegressionObjective):
    """Huber loss over the attacked outputs: squared for small errors, absolute for large ones.

    Args:
        output: Position of the only output to attack; ``None`` attacks all of them.
        tolerance: The attack succeeds when the mean absolute error over the attacked outputs
            grows by more than this, in the unit of the target.
        delta: Error at which the square ends, in the unit of the target; above 0.

    Raises:
        ValueError: If ``delta`` is not above 0.
    """

    def __init__(
        self, output: int | None = None, tolerance: float = 0.1, delta: float = 0.1
    ) -> None:
        super().__init__(output, tolerance)
        if not delta > 0:
            raise ValueError(f"The delta of Huber is above 0, not {delta}.")
        self.delta = delta

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean Huber loss per clip."""
        difference = self.difference(prediction, target)
        loss = F.huber_loss(
            difference, torch.zeros_like(difference), reduction="none", delta=self.delta
        )
        return loss.mean(1)


class Shift(RegressionObjective):
    """Move the attacked outputs up, or down: the mean signed error.

    The worst case of output k alone is the worse one of ``Shift(output=k)`` and
    ``Shift(output=k, down=True)``; ``WorstOf`` keeps it for every clip.

    Args:
        output: Position of the only output to attack; ``None`` attacks all of them.
        tolerance: The attack succeeds when the mean of the attacked outputs has moved by more than
            this in the wanted direction, in the unit of the target.
        down: Move down instead of up.
    """

    def __init__(
        self, output: int | None = None, tolerance: float = 0.1, down: bool = False
    ) -> None:
        super().__init__(output, tolerance)
        self.down = down

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean signed error per clip, in the wanted direction."""
        error = self.difference(prediction, target).mean(1)
        return -error if self.down else error

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """How far the outputs have moved, minus the tolerance."""
        return self(prediction, clean) - self.tolerance

    def stationary_at(self, prediction: Tensor, target: Tensor) -> bool:
        """A signed error has no minimum."""
        return False


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

    def _value(self, prediction: Tensor) -> Tensor:
        outputs = prediction.shape[-1] if self.output is None else 1
        value = torch.as_tensor(self.value, dtype=prediction.dtype, device=prediction.device)
        if value.ndim > 0 and len(value) != outputs:
            raise ValueError(f"Towards has {len(value)} values for {outputs} attacked outputs.")
        return value

    def _distance(self, prediction: Tensor) -> Tensor:
        return (self.chosen(prediction) - self._value(prediction)).flatten(1)

    def attacker_target(self, prediction: Tensor) -> Tensor | None:
        """What the attacker wants in the form of a target; ``None`` if he wants one output only.

        Args:
            prediction: Predictions without attack, shape (batch, ..., outputs).
        """
        return None if self.output is not None else self._value(prediction).expand_as(prediction)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Negative mean squared distance to the value, per clip."""
        return -self._distance(prediction).square().mean(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Tolerance minus the mean absolute distance to the value."""
        distance = self._distance(prediction).abs().mean(1)
        # The next larger number, because a distance of just the tolerance is a success.
        limit = distance.new_tensor(self.tolerance)
        return limit.nextafter(limit.new_tensor(torch.inf)) - distance

    def stationary_at(self, prediction: Tensor, target: Tensor) -> bool:
        """The aim does not depend on the target."""
        return False
