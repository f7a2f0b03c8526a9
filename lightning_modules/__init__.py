"""Modules that train: a front end, a network, a loss and an optimiser."""

if __name__ == "lightning_modules":
    # Found through the working directory: every class would exist twice.
    raise ImportError("This folder is a part of SteadyEar: import steadyear.lightning_modules.")


from steadyear.foundation.import_room import import_room
from steadyear.lightning_modules.frontends import (
    AudioProtoPNetLogMel,
    BirdSetLogMel,
    Frontend,
    LogFilterbank,
    LogMel,
)
from steadyear.lightning_modules.losses import AsymmetricLoss
from steadyear.lightning_modules.modules.base import BaseModule
from steadyear.lightning_modules.modules.multiclass import MultiClassModule
from steadyear.lightning_modules.modules.multilabel import MultiLabelModule
from steadyear.lightning_modules.modules.regression import RegressionModule
from steadyear.lightning_modules.networks import (
    A2B2E,
    A2E,
    A2M2E,
    AudioProtoPNetHead,
    AudioVGG,
    ConvNeXt,
    ConvNeXtHead,
)
from steadyear.lightning_modules.optimization.schedules import WarmupCosine
from steadyear.lightning_modules.outputs import Output
from steadyear.lightning_modules.pretrained.module import PretrainedBirdClassifier
from steadyear.lightning_modules.pretrained.published import PublishedModel, load_published

import_room(f"{__name__}.metrics")
import_room(f"{__name__}.networks")

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
    "MultiClassModule",
    "MultiLabelModule",
    "Output",
    "PretrainedBirdClassifier",
    "PublishedModel",
    "RegressionModule",
    "WarmupCosine",
    "load_published",
]
