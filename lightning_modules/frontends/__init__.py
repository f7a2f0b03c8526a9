"""Differentiable maps from waveforms to the spectrograms that networks read."""

from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank
from steadyear.lightning_modules.frontends.log_mel import (
    AudioProtoPNetLogMel,
    BirdSetLogMel,
    LogMel,
)

__all__ = [
    "AudioProtoPNetLogMel",
    "BirdSetLogMel",
    "Frontend",
    "LogFilterbank",
    "LogMel",
]
