"""Adversarial training, robustness evaluation, and what a run leaves behind."""

from callbacks.adversarial_training import AdversarialTraining
from callbacks.batches import BatchKeys
from callbacks.corruption_evaluation import CorruptionEvaluation
from callbacks.epoch_seed import EpochSeed
from callbacks.phases import WarmPhase
from callbacks.predictions import PredictionTable
from callbacks.prototype_figures import PrototypeFigures
from callbacks.prototype_push import PrototypePush
from callbacks.realisability import RealisabilityGap
from callbacks.recipes import AdditionalStep, Adversary, Madry, Recipe
from callbacks.robust_terms import (
    BernoulliKL,
    HardTargets,
    RobustTerm,
    SoftmaxKL,
    SoftTargets,
    SquaredChange,
)
from callbacks.robustness import RobustnessEvaluation
from callbacks.run_loggers import RunCSVLogger, RunWandbLogger
from callbacks.run_record import RunRecord
from callbacks.sanity_training import OverfittingCheck
from callbacks.trades import TRADES
from callbacks.weight_perturbation import AdversarialWeightPerturbation

__all__ = [
    "TRADES",
    "AdditionalStep",
    "AdversarialTraining",
    "AdversarialWeightPerturbation",
    "Adversary",
    "BatchKeys",
    "BernoulliKL",
    "CorruptionEvaluation",
    "EpochSeed",
    "HardTargets",
    "Madry",
    "OverfittingCheck",
    "PredictionTable",
    "PrototypeFigures",
    "PrototypePush",
    "RealisabilityGap",
    "Recipe",
    "RobustTerm",
    "RobustnessEvaluation",
    "RunCSVLogger",
    "RunRecord",
    "RunWandbLogger",
    "SoftTargets",
    "SoftmaxKL",
    "SquaredChange",
    "WarmPhase",
]
