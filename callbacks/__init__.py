"""Adversarial training, robustness evaluation, and what a run leaves behind."""

from callbacks.adversarial_training import AdversarialTraining
from callbacks.batches import BatchKeys
from callbacks.epoch_seed import EpochSeed
from callbacks.predictions import PredictionTable
from callbacks.recipes import AdditionalStep, Adversary, Madry, Recipe
from callbacks.robustness import RobustnessEvaluation
from callbacks.run_loggers import RunCSVLogger, RunWandbLogger
from callbacks.run_record import RunRecord

__all__ = [
    "AdditionalStep",
    "AdversarialTraining",
    "Adversary",
    "BatchKeys",
    "EpochSeed",
    "Madry",
    "PredictionTable",
    "Recipe",
    "RobustnessEvaluation",
    "RunCSVLogger",
    "RunRecord",
    "RunWandbLogger",
]
