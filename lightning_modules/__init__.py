"""Modules that train: a front end, a network, a loss and an optimiser."""

from lightning_modules.base import BaseModule
from lightning_modules.frontends import (
    AudioProtoPNetLogMel,
    BirdSetLogMel,
    Frontend,
    LogFilterbank,
    LogMel,
)
from lightning_modules.networks import A2B2E, A2E, A2M2E, AudioVGG
from lightning_modules.outputs import Output
from lightning_modules.regression import RegressionModule

__all__ = [
    "A2B2E",
    "A2E",
    "A2M2E",
    "AudioProtoPNetLogMel",
    "AudioVGG",
    "BaseModule",
    "BirdSetLogMel",
    "Frontend",
    "LogFilterbank",
    "LogMel",
    "Output",
    "RegressionModule",
]
