"""The registry of the tests: one row for every attack, ball and objective of `steadyear.attacks`.

The property tests draw from it, `test_attack_registry` holds every attack to the promises of the base
class, and `tests/golden` says which attacks have recorded figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from steadyear import attacks
from steadyear.attacks import Attack, Ball, Objective
from steadyear.attacks.objectives.regression import PredictionChange

OUTPUTS, HELD = 5, 2


@dataclass(frozen=True)
class BallRow:
    """How a ball is made, and what it needs.

    Attributes:
        make: From a budget to the ball.
        budgets: Smallest and largest budget that is drawn.
        waveform: Whether it needs waveforms, shape (batch, time), long enough to be analysed.
        zero: Whether a budget of 0 is no attack, as it is for sizes.
    """

    make: Callable[[float], Ball]
    budgets: tuple[float, float] = (0.01, 0.5)
    waveform: bool = False
    zero: bool = True


@dataclass(frozen=True)
class AttackRow:
    """How an attack is made, what it promises, and which tests take it.

    Attributes:
        make: From ball, objective and further settings to a small attack, for the property tests;
            ``None`` where they cannot take it.
        at_least: ``start``: at least as bad as the start that it was given. ``clean``: at least as bad
            as the clean clip. ``None``: no such promise.
        success_first: Whether success is better than any value.
        decides: Whether it decides clip by clip, so that objectives of a batch are refused.
        balls: The balls that it can search in; ``None`` stands for all.
        tasks: For attacks with objectives of their own: keywords by task, in place of an objective.
        objectives: Names of the only objectives that it takes; ``None`` takes all.
        spend: From ball and further settings to an attack that spends its budget, for
            `test_attack_registry`; ``None`` where it cannot.
        aimed: Whether it follows its objective; random points do not.
        random: Whether another key gives another result; ``None`` where the worst case itself may be
            found.
        elsewhere: Without ``make`` or ``spend``: why, and which tests hold what it promises.
        golden: Whether `tests/golden` records figures of it.
    """

    make: Callable[..., Attack] | None = None
    at_least: str | None = None
    success_first: bool = False
    decides: bool = False
    balls: frozenset[str] | None = None
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    objectives: frozenset[str] | None = None
    spend: Callable[..., Attack] | None = None
    aimed: bool = True
    random: bool | None = True
    elsewhere: str = ""
    golden: bool = False


@dataclass(frozen=True)
class ObjectiveRow:
    """An objective, and the target that it wants.

    Attributes:
        objective: The objective.
        task: ``regression``, ``multilabel``, ``multiclass`` or ``pairs`` (true and wanted class).
        random_start: Whether it is flat at the clean clip.
        held: Number of values that the target does not have.
        smooth: Whether gradients are those of the value; some objectives take a part of it as constant.
    """

    objective: Objective
    task: str = "regression"
    random_start: bool = False
    held: int = 0
    smooth: bool = True


BALLS: dict[str, BallRow] = {
    "Linf": BallRow(attacks.Linf),
    "L2": BallRow(attacks.L2),
    "L1": BallRow(lambda eps: attacks.L1(eps, share=0.3), (0.05, 3.0)),
    "SNR": BallRow(attacks.SNR),
    "FrequencyMask": BallRow(
        lambda eps: attacks.FrequencyMask(8000, [500, 2000], [-10, -20, 0], eps), waveform=True
    ),
    "Psychoacoustic": BallRow(
        lambda eps: attacks.Psychoacoustic(8000, eps, bins=16), (0.1, 2.0), waveform=True
    ),
}
NORMS = frozenset({"Linf", "L2"})
ATTACKS: dict[str, AttackRow] = {
    "PGD": AttackRow(
        lambda b, o, **m: attacks.PGD(b, o, steps=3, restarts=2, **m),
        "start",
        spend=lambda b, **m: attacks.PGD(b, steps=4, restarts=2, **m),
        golden=True,
    ),
    "BIM": AttackRow(
        lambda b, o, **m: attacks.BIM(b, o, steps=3, **m),
        "clean",
        spend=lambda b, **m: attacks.BIM(b, steps=4, **m),
        random=False,
        golden=True,
    ),
    "FGSM": AttackRow(attacks.FGSM, spend=attacks.FGSM, random=False, golden=True),
    "APGD": AttackRow(
        lambda b, o, **m: attacks.APGD(b, o, steps=5, **m),
        "start",
        spend=lambda b, **m: attacks.APGD(b, steps=8, restarts=2, **m),
        golden=True,
    ),
    "MIFGSM": AttackRow(
        lambda b, o, **m: attacks.MIFGSM(b, o, steps=3, **m),
        "clean",
        spend=lambda b, **m: attacks.MIFGSM(b, steps=4, **m),
        random=False,
        golden=True,
    ),
    "NIFGSM": AttackRow(
        lambda b, o, **m: attacks.NIFGSM(b, o, steps=3, **m),
        "clean",
        spend=lambda b, **m: attacks.NIFGSM(b, steps=4, **m),
        random=False,
        golden=True,
    ),
    "Noise": AttackRow(
        lambda b, o, **m: attacks.Noise(b, o, tries=2, **m),
        spend=lambda b, **m: attacks.Noise(b, tries=3, **m),
        aimed=False,
        golden=True,
    ),
    "Square": AttackRow(
        lambda b, o, **m: attacks.Square(b, o, queries=6, **m),
        "start",
        balls=NORMS,
        spend=lambda b, **m: attacks.Square(b, queries=80, **m),
        golden=True,
    ),
    "FMN": AttackRow(
        lambda b, o, **m: attacks.FMN(b, o, steps=4, shrink_steps=2, **m),
        decides=True,
        elsewhere="spends no budget: test_minimal_norm and a test of its own",
        golden=True,
    ),
    "DDN": AttackRow(
        lambda b, o, **m: attacks.DDN(b, o, steps=4, shrink_steps=2, **m),
        decides=True,
        balls=frozenset({"L2"}),
        elsewhere="spends no budget: test_minimal_norm and a test of its own",
        golden=True,
    ),
    "CarliniWagner": AttackRow(
        lambda b, o, **m: attacks.CarliniWagner(b, o, steps=3, searches=2, shrink_steps=1, **m),
        decides=True,
        balls=frozenset({"L2"}),
        elsewhere="spends no budget: test_minimal_norm and a test of its own",
        golden=True,
    ),
    "DeepFool": AttackRow(
        lambda b, o, **m: attacks.DeepFool(b, o, steps=3, candidates=2, shrink_steps=2, **m),
        decides=True,
        elsewhere="spends no budget: test_minimal_norm and a test of its own",
        golden=True,
    ),
    "HopSkipJump": AttackRow(
        lambda b, o, **m: attacks.HopSkipJump(b, o, steps=1, probes=2, shrink_steps=1, **m),
        decides=True,
        elsewhere="spends no budget: test_minimal_norm and a test of its own",
        golden=True,
    ),
    "NES": AttackRow(
        lambda b, o, **m: attacks.NES(b, o, steps=2, samples=4, **m),
        "start",
        spend=lambda b, **m: attacks.NES(b, steps=8, samples=20, **m),
        golden=True,
    ),
    "RandomSearch": AttackRow(
        lambda b, o, **m: attacks.RandomSearch(b, o, tries=3, **m),
        "start",
        spend=lambda b, **m: attacks.RandomSearch(b, tries=20, **m),
        aimed=False,
        golden=True,
    ),
    "EOT": AttackRow(
        lambda b, o, **m: attacks.EOT(attacks.PGD(b, o, steps=2, **m), samples=2),
        "start",
        spend=lambda b, **m: attacks.EOT(attacks.PGD(b, steps=4, **m), samples=2),
        golden=True,
    ),
    "AudioAutoAttack": AttackRow(
        lambda b, o, **m: attacks.AudioAutoAttack(b, version="1.1-quick", **m),
        "clean",
        success_first=True,
        tasks={task: {"task": task} for task in ("regression", "multilabel", "multiclass")},
        spend=lambda b, **m: attacks.AudioAutoAttack(b, version="1.1-quick", **m),
        random=None,
        golden=True,
    ),
    "AudioAutoAttack by damage": AttackRow(
        lambda b, o, **m: attacks.AudioAutoAttack(b, version="1.1-quick", worst="damage", **m),
        "clean",
        tasks={task: {"task": task} for task in ("regression", "multilabel", "multiclass")},
        elsewhere="another question of AudioAutoAttack, not another attack: test_ensemble",
        golden=True,
    ),
    "WorstOf": AttackRow(
        lambda b, o, seed=0: attacks.WorstOf(
            [attacks.PGD(b, o, steps=2), attacks.APGD(b, o, steps=2)], seed=seed
        ),
        "clean",
        success_first=True,
        spend=lambda b, seed=0, **m: attacks.WorstOf(
            [
                attacks.PGD(b, o, steps=4, **m)
                for o in (attacks.SquaredError(), attacks.AbsoluteError())
            ],
            seed=seed,
        ),
        golden=True,
    ),
    "SignAdam": AttackRow(elsewhere="searches without a bound: test_sign_adam", golden=True),
    "GridSearch": AttackRow(
        elsewhere="searches domains of few dimensions: test_grid_search", golden=True
    ),
    "Transfer": AttackRow(
        elsewhere="asks nothing of the attacked model: test_transfer_attack", golden=True
    ),
    "Universal": AttackRow(
        elsewhere="asks nothing of the attacked model: test_universal", golden=True
    ),
}
OBJECTIVES: dict[str, ObjectiveRow] = {
    "SquaredError": ObjectiveRow(attacks.SquaredError()),
    "AbsoluteError": ObjectiveRow(attacks.AbsoluteError()),
    "PredictionChange": ObjectiveRow(PredictionChange(), random_start=True),
    "Huber": ObjectiveRow(attacks.Huber()),
    "Shift": ObjectiveRow(attacks.Shift(output=1, down=True)),
    "Towards": ObjectiveRow(attacks.Towards(0.4)),
    "BatchCorrelation": ObjectiveRow(attacks.BatchCorrelation()),
    "ConstrainedObjective": ObjectiveRow(
        attacks.ConstrainedObjective(attacks.SquaredError(), OUTPUTS - HELD), held=HELD
    ),
    "EmbeddingDissimilarity": ObjectiveRow(attacks.EmbeddingDissimilarity(), random_start=True),
    "PrototypeActivation": ObjectiveRow(attacks.PrototypeActivation([0, 2])),
    "OwnPrototypes": ObjectiveRow(attacks.OwnPrototypes(), "multilabel"),
    "OutputLoss": ObjectiveRow(attacks.OutputLoss(), "multilabel"),
    "ClassRanking": ObjectiveRow(attacks.ClassRanking(), "multilabel"),
    "PairwiseRanking": ObjectiveRow(attacks.PairwiseRanking(), "multilabel"),
    "MultiLabelDLR": ObjectiveRow(attacks.MultiLabelDLR(), "multilabel"),
    "WrongLabels": ObjectiveRow(attacks.WrongLabels(), "multilabel", smooth=False),
    "ScaleFreeHinge": ObjectiveRow(attacks.ScaleFreeHinge(), "multilabel", smooth=False),
    "TopK": ObjectiveRow(attacks.TopK(2), "multilabel"),
    "LabelMargin": ObjectiveRow(attacks.LabelMargin(), "multilabel"),
    "HideLabels": ObjectiveRow(attacks.HideLabels(), "multilabel"),
    "ShowLabels": ObjectiveRow(attacks.ShowLabels([0, 3]), "multilabel"),
    "CrossEntropy": ObjectiveRow(attacks.CrossEntropy(), "multiclass"),
    "Margin": ObjectiveRow(attacks.Margin(), "multiclass"),
    "DLR": ObjectiveRow(attacks.DLR(), "multiclass"),
    "TargetedDLR": ObjectiveRow(attacks.TargetedDLR(), "pairs"),
}
BALLS_ELSEWHERE = {"Unbounded": "a set without a budget: test_sign_adam"}
