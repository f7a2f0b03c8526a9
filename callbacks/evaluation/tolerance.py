"""How far ratings may move before an attack on them counts as a success."""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from steadyear.attacks import Attack, RegressionObjective, WorstOf

Tolerance = float | Literal["labels"]
"""In the unit of the labels, or their own standard deviation over the training clips."""


def check_tolerance(tolerance: Tolerance | None) -> None:
    """Refuse what is no tolerance, before anything is trained.

    Raises:
        ValueError: If it is negative, not finite, or another word than ``labels``.
    """
    known = tolerance is None or tolerance == "labels"
    if not known and not (isinstance(tolerance, int | float) and 0 <= tolerance < math.inf):
        raise ValueError(
            "The tolerance of a RobustnessEvaluation is a number >= 0 in the unit of the labels, or "
            f"'labels' for their standard deviation, not {tolerance!r}."
        )


def within_tolerance(attack: Attack, tolerance: float) -> Attack:
    """The attack, with success where an error grows beyond a tolerance.

    Attacks with another aim, such as a correlation or a value that ratings are moved to, stay as they
    are; so do those that are measured against the model's own predictions.
    """
    changed = copy.copy(attack)
    if isinstance(changed, WorstOf):
        changed.attacks = [within_tolerance(each, tolerance) for each in changed.attacks]
    objective = attack.objective
    by_error = type(objective).margin is RegressionObjective.margin and not objective.against_clean
    if isinstance(objective, RegressionObjective) and by_error:
        changed.objective = copy.copy(objective)
        changed.objective.tolerance = tolerance
    return changed


def in_label_units(tolerance: Tolerance, trainer: Trainer) -> float:
    """The tolerance as a number; the data module's ``label_deviation`` stands for ``labels``.

    Raises:
        MisconfigurationException: If the data module does not know its labels' deviation.
    """
    if tolerance != "labels":
        return float(tolerance)
    data: Any = getattr(trainer, "datamodule", None)
    deviation = getattr(data, "label_deviation", None)
    if deviation is None:
        raise MisconfigurationException(
            "RobustnessEvaluation(tolerance='labels') asks the data module for label_deviation, which "
            f"{type(data).__name__} does not have: give the tolerance as a number."
        )
    return float(deviation)
