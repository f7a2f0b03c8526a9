"""Modules that train: a front end, a network, a loss and an optimiser."""

from lightning_modules.base import BaseModule
from lightning_modules.frontends import (
    AudioProtoPNetLogMel,
    BirdSetLogMel,
    Frontend,
    LogFilterbank,
    LogMel,
)
from lightning_modules.losses import AsymmetricLoss
from lightning_modules.multilabel import MultiLabelModule
from lightning_modules.networks import (
    A2B2E,
    A2E,
    A2M2E,
    AudioProtoPNetHead,
    AudioVGG,
    ConvNeXt,
    ConvNeXtHead,
)
from lightning_modules.outputs import Output
from lightning_modules.pretrained import PublishedModel, load_published
from lightning_modules.pretrained_module import PretrainedBirdClassifier
from lightning_modules.regression import RegressionModule
from lightning_modules.schedules import WarmupCosine

__all__ = [
    "A2B2E",
    "A2E",
    "A2M2E",
    "AsymmetricLoss",
    "AudioProtoPNetHead",
    "AudioProtoPNetLogMel",
    "AudioVGG",
    "BaseModule",
    "BirdSetLogMel",
    "ConvNeXt",
    "ConvNeXtHead",
    "Frontend",
    "LogFilterbank",
    "LogMel",
    "MultiLabelModule",
    "Output",
    "PretrainedBirdClassifier",
    "PublishedModel",
    "RegressionModule",
    "WarmupCosine",
    "load_published",
]
