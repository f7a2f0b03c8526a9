"""Differentiable maps from waveforms to the spectrograms that networks read."""

from lightning_modules.frontends.base import Frontend
from lightning_modules.frontends.log_filterbank import LogFilterbank
from lightning_modules.frontends.log_mel import AudioProtoPNetLogMel, BirdSetLogMel, LogMel

__all__ = [
    "AudioProtoPNetLogMel",
    "BirdSetLogMel",
    "Frontend",
    "LogFilterbank",
    "LogMel",
]
