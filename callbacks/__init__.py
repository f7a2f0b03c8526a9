"""Adversarial training, robustness evaluation, and what a run leaves behind."""

if __name__ == "callbacks":
    # Found through the working directory: every class would exist twice.
    raise ImportError("This folder is a part of SteadyEar: import steadyear.callbacks.")


from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.evaluation.corruption import CorruptionEvaluation
from steadyear.callbacks.evaluation.predictions import PredictionTable
from steadyear.callbacks.evaluation.realisability import RealisabilityGap
from steadyear.callbacks.evaluation.robustness import RobustnessEvaluation
from steadyear.callbacks.logging.run_loggers import RunCSVLogger, RunWandbLogger
from steadyear.callbacks.logging.run_record import RunRecord
from steadyear.callbacks.prototypes.figures import PrototypeFigures
from steadyear.callbacks.prototypes.push import PrototypePush
from steadyear.callbacks.training.adversarial_training import AdversarialTraining
from steadyear.callbacks.training.epoch_seed import EpochSeed
from steadyear.callbacks.training.overfitting_check import OverfittingCheck
from steadyear.callbacks.training.phases import WarmPhase
from steadyear.callbacks.training.recipes.additional_step import AdditionalStep
from steadyear.callbacks.training.recipes.base import Adversary, Recipe
from steadyear.callbacks.training.recipes.madry import Madry
from steadyear.callbacks.training.recipes.robust_terms import (
    BernoulliKL,
    HardTargets,
    RobustTerm,
    SoftmaxKL,
    SoftTargets,
    SquaredChange,
)
from steadyear.callbacks.training.recipes.trades import TRADES
from steadyear.callbacks.training.weight_perturbation import AdversarialWeightPerturbation

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
