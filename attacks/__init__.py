"""Attacks on audio models: any callable, any task, no Lightning needed.

>>> import torch
>>> from attacks import PGD, Linf
>>> model = torch.nn.Linear(4, 2)
>>> result = PGD(Linf(0.1), steps=5)(model, torch.zeros(3, 4), torch.ones(3, 2))
>>> bool((result.size <= 0.1 + 1e-6).all())
True
"""

from attacks.balls import L2, Ball, Linf, NormBall, Unbounded
from attacks.base import Attack, AttackResult, Probe, Problem
from attacks.draws import Draws
from attacks.embedding_objectives import EmbeddingDissimilarity, PrototypeActivation
from attacks.gradient import BIM, FGSM, PGD
from attacks.minimal_norm import DDN, FMN, MinimalNorm
from attacks.mode import attack_mode
from attacks.multilabel_objectives import MultiLabelObjective, OutputLoss
from attacks.noise import Noise
from attacks.objectives import (
    AbsoluteError,
    CrossEntropy,
    Objective,
    RegressionObjective,
    SquaredError,
    Towards,
)
from attacks.scores import (
    RobustnessScores,
    robustness_scores,
    root_mean_squared_error,
    score_robustness,
)
from attacks.sign_adam import SignAdam, output_correlation
from attacks.sizes import l2_norm, linf_norm, snr_db
from attacks.views import View, inject, prediction_of

__all__ = [
    "BIM",
    "DDN",
    "FGSM",
    "FMN",
    "L2",
    "PGD",
    "AbsoluteError",
    "Attack",
    "AttackResult",
    "Ball",
    "CrossEntropy",
    "Draws",
    "EmbeddingDissimilarity",
    "Linf",
    "MinimalNorm",
    "MultiLabelObjective",
    "Noise",
    "NormBall",
    "Objective",
    "OutputLoss",
    "Probe",
    "Problem",
    "PrototypeActivation",
    "RegressionObjective",
    "RobustnessScores",
    "SignAdam",
    "SquaredError",
    "Towards",
    "Unbounded",
    "View",
    "attack_mode",
    "inject",
    "l2_norm",
    "linf_norm",
    "output_correlation",
    "prediction_of",
    "robustness_scores",
    "root_mean_squared_error",
    "score_robustness",
    "snr_db",
]
