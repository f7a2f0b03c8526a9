"""The error and the loss of each clip under attack, in the measures of the module under attack.

Two methods of a module are used where they exist. ``clip_errors(prediction, target)`` gives the
error of each clip, by which the worst attack is found. ``clip_losses(prediction, target)`` gives
losses of at least 0 for the robustness scores of ``steadyear.attacks.evaluation.scores``; the module's own loss in
them is ours, published is the root mean squared error. DRS and TARS need an attack whose objective
has a target: a method ``attacker_target(prediction)`` in the form of the data's targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from steadyear.attacks import AttackResult, Objective, prediction_of, robustness_scores

ClipMeasure = Callable[[Tensor, Tensor], Tensor]
"""One value per clip, shape (batch,), from predictions and targets."""


def per_clip_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Error of each clip, shape (batch,): mean absolute error of real values, else wrong class."""
    if prediction.shape == target.shape:
        return (prediction - target).abs().flatten(1).mean(1)
    return (prediction.argmax(1) != target).double()


@dataclass(frozen=True)
class ClipFigures:
    """The measures of a module.

    Attributes:
        error: Error of each clip.
        loss: Loss of each clip; ``None`` leaves the robustness scores out.
    """

    error: ClipMeasure = per_clip_error
    loss: ClipMeasure | None = None

    @classmethod
    def of(cls, module: object) -> ClipFigures:
        """What a module offers; the mean absolute error or the wrong class where it has no say."""
        return cls(
            getattr(module, "clip_errors", per_clip_error), getattr(module, "clip_losses", None)
        )

    def columns(
        self, result: AttackResult, target: Tensor, objective: Objective
    ) -> dict[str, Tensor | None]:
        """Columns of the table of robustness: both errors, and PRS, DRS and TARS where they exist.

        Args:
            result: What an attack found.
            target: True values or classes of the clips.
            objective: What the attack maximised.
        """
        clean, attacked = prediction_of(result.clean_output), prediction_of(result.output)
        columns: dict[str, Tensor | None] = {
            "clean_error": self.error(clean, target),
            "attacked_error": self.error(attacked, target),
            "prs": None,
            "drs": None,
            "tars": None,
        }
        if self.loss is None:
            return columns
        wanted = getattr(objective, "attacker_target", None)
        aim = wanted(clean) if callable(wanted) else None
        scores = robustness_scores(clean, attacked, target, aim, self.loss)
        return columns | scores._asdict()
