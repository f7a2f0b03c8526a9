"""Attacks on audio models: any callable, any task, no Lightning needed.

>>> import torch
>>> from attacks import PGD, Linf
>>> model = torch.nn.Linear(4, 2)
>>> result = PGD(Linf(0.1), steps=5)(model, torch.zeros(3, 4), torch.ones(3, 2))
>>> bool((result.size <= 0.1 + 1e-6).all())
True
"""

from attacks.auto_pgd import APGD
from attacks.balls import L2, Ball, Linf, NormBall, Unbounded
from attacks.base import Attack, AttackResult, Probe, Problem
from attacks.class_objectives import DLR, ClassObjective, CrossEntropy, Margin, TargetedDLR
from attacks.curves import RobustCurve, robust_curve
from attacks.draws import Draws
from attacks.embedding_objectives import EmbeddingDissimilarity, PrototypeActivation
from attacks.ensemble import AudioAutoAttack, Cost
from attacks.gradient import BIM, FGSM, PGD
from attacks.label_objectives import HideLabels, LabelMargin, ShowLabels
from attacks.minimal_norm import DDN, FMN, MinimalNorm
from attacks.mode import attack_mode
from attacks.momentum import MIFGSM, NIFGSM
from attacks.multilabel_objectives import MultiLabelObjective, OutputLoss
from attacks.noise import Noise
from attacks.objectives import (
    AbsoluteError,
    Huber,
    Objective,
    RegressionObjective,
    Shift,
    SquaredError,
    Towards,
)
from attacks.ranking_objectives import (
    MultiLabelDLR,
    PairwiseRanking,
    ScaleFreeHinge,
    TopK,
)
from attacks.scores import (
    RobustnessScores,
    robustness_scores,
    root_mean_squared_error,
    score_robustness,
)
from attacks.sign_adam import SignAdam, output_correlation
from attacks.sizes import l2_norm, linf_norm, snr_db
from attacks.square import Square
from attacks.views import View, inject, prediction_of

__all__ = [
    "APGD",
    "BIM",
    "DDN",
    "DLR",
    "FGSM",
    "FMN",
    "L2",
    "MIFGSM",
    "NIFGSM",
    "PGD",
    "AbsoluteError",
    "Attack",
    "AttackResult",
    "AudioAutoAttack",
    "Ball",
    "ClassObjective",
    "Cost",
    "CrossEntropy",
    "Draws",
    "EmbeddingDissimilarity",
    "HideLabels",
    "Huber",
    "LabelMargin",
    "Linf",
    "Margin",
    "MinimalNorm",
    "MultiLabelDLR",
    "MultiLabelObjective",
    "Noise",
    "NormBall",
    "Objective",
    "OutputLoss",
    "PairwiseRanking",
    "Probe",
    "Problem",
    "PrototypeActivation",
    "RegressionObjective",
    "RobustCurve",
    "RobustnessScores",
    "ScaleFreeHinge",
    "Shift",
    "ShowLabels",
    "SignAdam",
    "Square",
    "SquaredError",
    "TargetedDLR",
    "TopK",
    "Towards",
    "Unbounded",
    "View",
    "attack_mode",
    "inject",
    "l2_norm",
    "linf_norm",
    "output_correlation",
    "prediction_of",
    "robust_curve",
    "robustness_scores",
    "root_mean_squared_error",
    "score_robustness",
    "snr_db",
]
