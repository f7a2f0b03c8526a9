"""Attacks on audio models: any callable, any task, no Lightning needed.

>>> import torch
>>> from steadyear.attacks import PGD, Linf
>>> model = torch.nn.Linear(4, 2)
>>> result = PGD(Linf(0.1), steps=5)(model, torch.zeros(3, 4), torch.ones(3, 2))
>>> bool((result.size <= 0.1 + 1e-6).all())
True

The rooms: `gradient`, `minimal_norm`, `black_box` and `ensembles` hold the attacks, `objectives` what they
maximise, `balls` the allowed perturbations, `domains` the spaces that are perturbed, `evaluation` curves and
scores. `core` is for those who write an attack.
"""

if __name__ == "attacks":
    # Found through the working directory: every class would exist twice.
    raise ImportError("This folder is a part of SteadyEar: import steadyear.attacks.")


from typing import TYPE_CHECKING, Any

from steadyear.attacks.balls import (
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
from steadyear.attacks.black_box.grid_search import GridSearch
from steadyear.attacks.black_box.hop_skip_jump import HopSkipJump
from steadyear.attacks.black_box.nes import NES
from steadyear.attacks.black_box.noise import Noise
from steadyear.attacks.black_box.random_search import RandomSearch
from steadyear.attacks.black_box.square import Square
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.query import GradientResult, Query
from steadyear.attacks.core.result import AttackResult, Crafted
from steadyear.attacks.core.threat import ThreatModel
from steadyear.attacks.core.views import View, inject, prediction_of
from steadyear.attacks.domains import Domain, SemanticBox, SpectrogramDomain, WaveformDomain
from steadyear.attacks.domains.transformations import (
    BackgroundNoise,
    Gain,
    LowPass,
    Pitch,
    RoomImpulseResponse,
    SpectralQuantisation,
    Tempo,
    Transformation,
)
from steadyear.attacks.ensembles.auto_attack import AudioAutoAttack
from steadyear.attacks.ensembles.eot import EOT
from steadyear.attacks.ensembles.members import Cost
from steadyear.attacks.ensembles.transfer import Transfer
from steadyear.attacks.ensembles.worst_of import WorstOf
from steadyear.attacks.evaluation.batching import attack_in_batches, fitting_batch_size
from steadyear.attacks.evaluation.curves import RobustCurve, robust_curve
from steadyear.attacks.evaluation.realisability import RealisedAttack, realisability_gap
from steadyear.attacks.evaluation.scores import (
    RobustnessScores,
    robustness_scores,
    root_mean_squared_error,
    score_robustness,
)
from steadyear.attacks.gradient.auto_pgd import APGD
from steadyear.attacks.gradient.momentum import MIFGSM, NIFGSM
from steadyear.attacks.gradient.pgd import BIM, FGSM, PGD
from steadyear.attacks.gradient.sign_adam import SignAdam, output_correlation
from steadyear.attacks.gradient.universal import Universal
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.attacks.minimal_norm.carlini_wagner import CarliniWagner
from steadyear.attacks.minimal_norm.ddn import DDN
from steadyear.attacks.minimal_norm.deepfool import DeepFool
from steadyear.attacks.minimal_norm.fmn import FMN
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.batch import BatchCorrelation, ClassRanking
from steadyear.attacks.objectives.classes import (
    DLR,
    ClassObjective,
    CrossEntropy,
    Margin,
    TargetedDLR,
)
from steadyear.attacks.objectives.constrained import ConstrainedObjective
from steadyear.attacks.objectives.embeddings import EmbeddingDissimilarity, PrototypeActivation
from steadyear.attacks.objectives.labels import HideLabels, LabelMargin, ShowLabels
from steadyear.attacks.objectives.multilabel import MultiLabelObjective, OutputLoss
from steadyear.attacks.objectives.prototypes import OwnPrototypes
from steadyear.attacks.objectives.ranking import (
    MultiLabelDLR,
    PairwiseRanking,
    ScaleFreeHinge,
    TopK,
    WrongLabels,
)
from steadyear.attacks.objectives.regression import (
    AbsoluteError,
    Huber,
    PredictionChange,
    RegressionObjective,
    Shift,
    SquaredError,
    Towards,
)
from steadyear.attacks.signal.sizes import l2_norm, linf_norm, snr_db
from steadyear.foundation.import_room import concrete_subclasses, import_room
from steadyear.foundation.random_streams import RandomStreams

_ROOMS = ("gradient", "minimal_norm", "black_box", "ensembles", "objectives", "balls", "domains")
for _room in _ROOMS:
    import_room(f"{__name__}.{_room}")


if not TYPE_CHECKING:  # a type checker would take every misspelt name for a class

    def __getattr__(name: str) -> Any:
        """A class of a file that was added to a room; the list below is what type checkers know."""
        for base in (Attack, Objective, Ball, Domain):
            for kind in concrete_subclasses(base, __name__):
                if kind.__name__ == name:
                    return kind
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [  # noqa: RUF022 (grouped by room, what a user needs first)
    # Attacks
    "APGD",
    "BIM",
    "FGSM",
    "MIFGSM",
    "NIFGSM",
    "PGD",
    "SignAdam",
    "Universal",
    "output_correlation",
    "CarliniWagner",
    "DDN",
    "DeepFool",
    "FMN",
    "MinimalNorm",
    "GridSearch",
    "HopSkipJump",
    "NES",
    "Noise",
    "RandomSearch",
    "Square",
    "AudioAutoAttack",
    "Cost",
    "EOT",
    "Transfer",
    "WorstOf",
    # Objectives
    "AbsoluteError",
    "BatchCorrelation",
    "ClassObjective",
    "ClassRanking",
    "ConstrainedObjective",
    "CrossEntropy",
    "DLR",
    "EmbeddingDissimilarity",
    "HideLabels",
    "Huber",
    "LabelMargin",
    "Margin",
    "MultiLabelDLR",
    "MultiLabelObjective",
    "Objective",
    "OutputLoss",
    "OwnPrototypes",
    "PairwiseRanking",
    "PredictionChange",
    "PrototypeActivation",
    "RegressionObjective",
    "ScaleFreeHinge",
    "Shift",
    "ShowLabels",
    "SquaredError",
    "TargetedDLR",
    "TopK",
    "Towards",
    "WrongLabels",
    # Balls
    "Ball",
    "FrequencyMask",
    "L1",
    "L2",
    "Linf",
    "NormBall",
    "Psychoacoustic",
    "SNR",
    "Unbounded",
    # Domains and their transformations
    "BackgroundNoise",
    "Domain",
    "Gain",
    "LowPass",
    "Pitch",
    "RoomImpulseResponse",
    "SemanticBox",
    "SpectralQuantisation",
    "SpectrogramDomain",
    "Tempo",
    "Transformation",
    "WaveformDomain",
    # Evaluation
    "RealisedAttack",
    "RobustCurve",
    "RobustnessScores",
    "attack_in_batches",
    "fitting_batch_size",
    "realisability_gap",
    "robust_curve",
    "robustness_scores",
    "root_mean_squared_error",
    "score_robustness",
    "l2_norm",
    "linf_norm",
    "snr_db",
    # For new attacks: threat model, query, result
    "Attack",
    "AttackResult",
    "AttackSettings",
    "Crafted",
    "GradientResult",
    "Query",
    "ThreatModel",
    "View",
    "attack_mode",
    "inject",
    "prediction_of",
    "RandomStreams",
]
