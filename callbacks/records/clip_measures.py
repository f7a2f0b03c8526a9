"""The error and the loss of each clip under attack, in the measures of the module under attack.

Two methods of a module are used where they exist. ``clip_errors(prediction, target)`` gives the
error of each clip, by which the worst attack is found. ``clip_losses(prediction, target)`` gives
losses of at least 0 for the robustness scores of
``steadyear.attacks.evaluation.scores``; the module's own loss in them is ours, published is the root
mean squared error. DRS and TARS need an attack whose objective
has a target: a method ``attacker_target(prediction)`` in the form of the data's targets.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from steadyear.attacks import AttackResult, Objective, prediction_of, robustness_scores
from steadyear.foundation.task import ClipMeasure, clip_errors_of, per_clip_error


@dataclass(frozen=True)
class ClipMeasures:
    """The measures of a module.

    Attributes:
        error: Error of each clip.
        loss: Loss of each clip; ``None`` leaves the robustness scores out.
    """

    error: ClipMeasure = per_clip_error
    loss: ClipMeasure | None = None

    @classmethod
    def of(cls, module: object) -> ClipMeasures:
        """What a module offers."""
        return cls(clip_errors_of(module), getattr(module, "clip_losses", None))

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
