"""Attacks on audio models: any callable, any task, no Lightning needed.

>>> import torch
>>> from attacks import PGD, Linf
>>> model = torch.nn.Linear(4, 2)
>>> result = PGD(Linf(0.1), steps=5)(model, torch.zeros(3, 4), torch.ones(3, 2))
>>> bool((result.size <= 0.1 + 1e-6).all())
True
"""

from attacks.auto_pgd import APGD
from attacks.balls import (
    L1,
    L2,
    SNR,
    Ball,
    FrequencyMask,
    Linf,
    NormBall,
    Psychoacoustic,
    Unbounded,
)
from attacks.base import Attack, AttackResult, Crafted
from attacks.batch_objectives import BatchCorrelation, ClassRanking
from attacks.batching import attack_in_batches, fitting_batch_size
from attacks.carlini_wagner import CarliniWagner
from attacks.class_objectives import DLR, ClassObjective, CrossEntropy, Margin, TargetedDLR
from attacks.curves import RobustCurve, robust_curve
from attacks.deepfool import DeepFool
from attacks.domains import Domain, SemanticBox, SpectrogramDomain, WaveformDomain
from attacks.domains.transformations import (
    BackgroundNoise,
    Gain,
    LowPass,
    Pitch,
    Room,
    SpectralQuantisation,
    Tempo,
    Transformation,
)
from attacks.draws import Draws
from attacks.embedding_objectives import EmbeddingDissimilarity, PrototypeActivation
from attacks.ensemble import AudioAutoAttack
from attacks.ensemble_members import Cost
from attacks.eot import EOT
from attacks.gradient import BIM, FGSM, PGD
from attacks.grid_search import GridSearch
from attacks.holding_objectives import WhileHolding
from attacks.hop_skip_jump import HopSkipJump
from attacks.label_objectives import HideLabels, LabelMargin, ShowLabels
from attacks.minimal_norm import DDN, FMN, MinimalNorm
from attacks.mode import attack_mode
from attacks.momentum import MIFGSM, NIFGSM
from attacks.multilabel_objectives import MultiLabelObjective, OutputLoss
from attacks.nes import NES
from attacks.noise import Noise
from attacks.objectives import (
    AbsoluteError,
    Distance,
    Huber,
    Objective,
    RegressionObjective,
    Shift,
    SquaredError,
    Towards,
)
from attacks.problem import Probe, Problem
from attacks.prototype_objectives import OwnPrototypes
from attacks.random_search import RandomSearch
from attacks.ranking_objectives import (
    MultiLabelDLR,
    PairwiseRanking,
    ScaleFreeHinge,
    TopK,
    WrongLabels,
)
from attacks.realisability import RealisedAttack, realisability_gap
from attacks.scores import (
    RobustnessScores,
    robustness_scores,
    root_mean_squared_error,
    score_robustness,
)
from attacks.sign_adam import SignAdam, output_correlation
from attacks.sizes import l2_norm, linf_norm, snr_db
from attacks.square import Square
from attacks.transfer import Transfer
from attacks.universal import Universal
from attacks.views import View, inject, prediction_of
from attacks.worst_of import WorstOf

__all__ = [
    "APGD",
    "BIM",
    "DDN",
    "DLR",
    "EOT",
    "FGSM",
    "FMN",
    "L1",
    "L2",
    "MIFGSM",
    "NES",
    "NIFGSM",
    "PGD",
    "SNR",
    "AbsoluteError",
    "Attack",
    "AttackResult",
    "AudioAutoAttack",
    "BackgroundNoise",
    "Ball",
    "BatchCorrelation",
    "CarliniWagner",
    "ClassObjective",
    "ClassRanking",
    "Cost",
    "Crafted",
    "CrossEntropy",
    "DeepFool",
    "Distance",
    "Domain",
    "Draws",
    "EmbeddingDissimilarity",
    "FrequencyMask",
    "Gain",
    "GridSearch",
    "HideLabels",
    "HopSkipJump",
    "Huber",
    "LabelMargin",
    "Linf",
    "LowPass",
    "Margin",
    "MinimalNorm",
    "MultiLabelDLR",
    "MultiLabelObjective",
    "Noise",
    "NormBall",
    "Objective",
    "OutputLoss",
    "OwnPrototypes",
    "PairwiseRanking",
    "Pitch",
    "Probe",
    "Problem",
    "PrototypeActivation",
    "Psychoacoustic",
    "RandomSearch",
    "RealisedAttack",
    "RegressionObjective",
    "RobustCurve",
    "RobustnessScores",
    "Room",
    "ScaleFreeHinge",
    "SemanticBox",
    "Shift",
    "ShowLabels",
    "SignAdam",
    "SpectralQuantisation",
    "SpectrogramDomain",
    "Square",
    "SquaredError",
    "TargetedDLR",
    "Tempo",
    "TopK",
    "Towards",
    "Transfer",
    "Transformation",
    "Unbounded",
    "Universal",
    "View",
    "WaveformDomain",
    "WhileHolding",
    "WorstOf",
    "WrongLabels",
    "attack_in_batches",
    "attack_mode",
    "fitting_batch_size",
    "inject",
    "l2_norm",
    "linf_norm",
    "output_correlation",
    "prediction_of",
    "realisability_gap",
    "robust_curve",
    "robustness_scores",
    "root_mean_squared_error",
    "score_robustness",
    "snr_db",
]
