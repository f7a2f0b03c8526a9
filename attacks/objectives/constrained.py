"""Attack a part of what is read while the rest stays as it is: attacks on explanations."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.objectives.base import Objective, refuse_coupled


class ConstrainedObjective(Objective):
    """Attack some values and hold the others near what they are without attack.

    Reads several fields side by side and attacks the first ``width`` values.
    ``View(field=["prediction", "concepts"])`` moves the output while the concepts, the explanation,
    stay: an unfaithful explanation. ``View(field=["concepts", "prediction"])`` moves the explanation
    while the output stays.

    The value is that of the inner objective minus ``penalty`` times the excess: how far held values
    are beyond the tolerance, in tolerances, summed over them.

    What is possible depends on the head. If the output is a function of the concepts alone, it moves
    no further than that function makes of the tolerance: output with concepts held then fails by
    construction, while beside the concepts, through a side channel, it may succeed. If that function
    is linear and injective (7 concepts to 8 outputs, of full rank), concepts with output held move no
    further than its smallest singular value allows.

    Args:
        objective: What is done to the attacked values; it decides clip by clip, and its target has
            their shape.
        width: Number of attacked values, the first ones of the last dimension.
        tolerance: Largest change of a held value, in its unit; above 0.
        penalty: What one tolerance of excess costs, in the unit of the objective; above 0. It is
            large enough when it outweighs what the objective can gain; more does no harm.

    Raises:
        ValueError: If width, tolerance or penalty are not above 0, or the objective has one value
            for a whole batch.
    """

    def __init__(
        self, objective: Objective, width: int, tolerance: float = 0.05, penalty: float = 10.0
    ) -> None:
        if width < 1 or not tolerance > 0 or not penalty > 0:
            raise ValueError(
                "ConstrainedObjective needs a width, a tolerance and a penalty above 0, not "
                f"{width}, {tolerance}, {penalty}."
            )
        refuse_coupled(objective, self)
        self.objective = objective
        self.width = width
        self.tolerance = tolerance
        self.penalty = penalty

    def reference(self, clean: Tensor, target: Tensor | None) -> Tensor:
        """What the attacked values are measured against, then the clean values that are held.

        A target as wide as all that is read brings the values to hold along.

        Args:
            clean: What the view reads without attack.
            target: The target of the attacked values, if any.

        Raises:
            ValueError: If nothing is left to hold, or the target has another number of dimensions.
        """
        if clean.shape[-1] <= self.width:
            raise ValueError(
                f"ConstrainedObjective attacks {self.width} values and holds the rest, but the view reads "
                f"{clean.shape[-1]}: name several fields in View(field=[...])."
            )
        if target is not None and target.shape == clean.shape and not self.objective.against_clean:
            return target
        inner = self.objective.reference(clean[..., : self.width], target)
        if inner.shape[:-1] != clean.shape[:-1]:
            raise ValueError(
                f"ConstrainedObjective needs a target {tuple(clean.shape[:-1])} + (values,), not "
                f"{tuple(inner.shape)}."
            )
        return torch.cat([inner, clean[..., self.width :]], -1)

    def _split(self, prediction: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attacked values, what they are measured against, and how far held values have moved."""
        held = prediction.shape[-1] - self.width
        moved = (prediction[..., self.width :] - reference[..., -held:]).flatten(1).abs()
        return prediction[..., : self.width], reference[..., :-held], moved

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse what the inner objective refuses."""
        attacked, inner, _ = self._split(prediction, target)
        self.objective.check(attacked, inner)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Inner objective minus the penalty per clip."""
        attacked, inner, moved = self._split(prediction, target)
        excess = (moved / self.tolerance - 1).clamp_min(0).sum(1)
        return self.objective(attacked, inner) - self.penalty * excess

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """The smaller one of the inner margin and what is left of the tolerance."""
        attacked, inner, moved = self._split(prediction, target)
        reached = self.objective.margin(attacked, clean[..., : self.width], inner)
        # The next larger number, because a change of just the tolerance is held.
        limit = moved.new_tensor(self.tolerance)
        return torch.minimum(reached, limit.nextafter(limit.new_tensor(torch.inf)) - moved.amax(1))

    def stationary_at(self, prediction: Tensor, target: Tensor) -> bool:
        """Where the inner objective is: there is no excess yet."""
        attacked, inner, _ = self._split(prediction, target)
        return self.objective.stationary_at(attacked, inner)
