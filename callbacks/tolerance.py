"""How far ratings may move before an attack on them counts as a success."""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from attacks import Attack, RegressionObjective

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
    """The attack, with success beyond a tolerance; as it is, unless it is judged by ratings.

    Args:
        attack: The attack.
        tolerance: By how much the mean absolute error of a clip may grow.
    """
    if not isinstance(attack.objective, RegressionObjective):
        return attack
    changed = copy.copy(attack)
    changed.objective = copy.copy(attack.objective)
    changed.objective.tolerance = tolerance
    return changed


def in_label_units(tolerance: Tolerance, trainer: Trainer) -> float:
    """The tolerance as a number.

    Args:
        tolerance: As it was configured.
        trainer: Knows the data module, whose ``label_deviation`` stands for ``labels``.

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
