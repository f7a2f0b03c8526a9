"""Versions of AudioAutoAttack as data: which objectives, in which order, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from steadyear.attacks.ensembles.objectives import TargetedLogitSum
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.classes import DLR, CrossEntropy, Margin, TargetedDLR
from steadyear.attacks.objectives.labels import LabelMargin
from steadyear.attacks.objectives.multilabel import OutputLoss
from steadyear.attacks.objectives.ranking import ScaleFreeHinge, WrongLabels
from steadyear.attacks.objectives.regression import AbsoluteError, Shift, SquaredError
from steadyear.foundation.task import TaskName

Version = Literal["1.0", "1.0-quick", "1.1", "1.1-quick"]
WorstBy = Literal["success", "damage"]


class Lineup(NamedTuple):
    """The objectives of the members that attack one task, in their order.

    Attributes:
        everyone: Maximised for every clip; twice the same has two starts.
        resisting: Maximised for the clips that still resist; labels are measured against the model's
            own decisions.
        targeted: Maximised for them towards one likely class, or one near label, after the other.
        boundary: Whether FMN searches for the boundary of the aim.
        search: What the search without gradients maximises; ``None`` stands for the damage.
    """

    everyone: tuple[Objective, ...]
    resisting: tuple[Objective, ...] = ()
    targeted: Objective | None = None
    boundary: bool = False
    search: Objective | None = None


class Plan(NamedTuple):
    """One version.

    Attributes:
        steps: Steps of every member that takes gradients.
        targets: Number of likely classes, or near labels.
        bisections: Of the boundary search.
        queries: Of the search without gradients.
        lineups: By what is the worst, and by task.
        until_success: Whether ascents that seek nothing but success end with it.
        further: Whether the search goes on for clips with success.
        everywhere: Whether balls that Square does not know are searched by NES.
    """

    steps: int
    targets: int
    bisections: int
    queries: int
    lineups: Mapping[WorstBy, Mapping[TaskName, Lineup]]
    until_success: bool = False
    further: bool = False
    everywhere: bool = False


_BOTH_WAYS = (Shift(), Shift(down=True))
_SUCCESS_1_0: dict[TaskName, Lineup] = {
    "regression": Lineup((AbsoluteError(), SquaredError()), _BOTH_WAYS, boundary=True),
    "multilabel": Lineup(
        (OutputLoss(), ScaleFreeHinge()),
        targeted=TargetedLogitSum(),
        boundary=True,
        search=LabelMargin(),
    ),
    "multiclass": Lineup(
        (CrossEntropy(), DLR()), targeted=TargetedDLR(), boundary=True, search=Margin()
    ),
}
_SUCCESS_1_1: dict[TaskName, Lineup] = {
    "regression": _SUCCESS_1_0["regression"],
    "multilabel": _SUCCESS_1_0["multilabel"]._replace(
        everyone=(OutputLoss(),), resisting=(WrongLabels(),)
    ),
    "multiclass": _SUCCESS_1_0["multiclass"]._replace(
        everyone=(CrossEntropy(),), resisting=(DLR(),) * 3
    ),
}
_DAMAGE_1_1: dict[TaskName, Lineup] = {
    "regression": Lineup((AbsoluteError(),) * 3 + (SquaredError(), *_BOTH_WAYS)),
    "multilabel": Lineup((OutputLoss(),) * 3 + (ScaleFreeHinge(),)),
    "multiclass": Lineup((CrossEntropy(),) * 3 + (DLR(),)),
}
_BOTH_1_1: dict[WorstBy, dict[TaskName, Lineup]] = {"success": _SUCCESS_1_1, "damage": _DAMAGE_1_1}

PLANS: dict[str, Plan] = {
    "1.0": Plan(100, 9, 10, 5000, {"success": _SUCCESS_1_0}),
    "1.0-quick": Plan(20, 3, 5, 200, {"success": _SUCCESS_1_0}),
    "1.1": Plan(100, 9, 10, 5000, _BOTH_1_1, until_success=True, further=True, everywhere=True),
    "1.1-quick": Plan(20, 3, 5, 200, _BOTH_1_1, until_success=True, further=True, everywhere=True),
}
"""Never changed: a published figure names its version. What is better becomes a new version."""
