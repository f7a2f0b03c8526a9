"""Corruptions of audio-C: damage that happens in the field, in five severities."""

from __future__ import annotations

from typing import Any

from datamodules.corruptions.base import SEVERITIES, Corruption
from datamodules.corruptions.clipping import Clipping
from datamodules.corruptions.codec import Codec
from datamodules.corruptions.distance import Distance
from datamodules.corruptions.gain import Attenuation
from datamodules.corruptions.insects import Insects
from datamodules.corruptions.rain import Rain
from datamodules.corruptions.resampling import Resampling
from datamodules.corruptions.reverberation import Reverberation, Room
from datamodules.corruptions.time_masking import TimeMasking
from datamodules.corruptions.wind import Wind

AUDIO_C: dict[str, Corruption[Any]] = {
    each.name: each
    for each in (
        Wind(),
        Rain(),
        Insects(),
        Distance(),
        Reverberation(),
        Codec(),
        Resampling(),
        Clipping(),
        Attenuation(),
        TimeMasking(),
    )
}
"""The ten corruptions of the benchmark audio-C, by name."""

__all__ = [
    "AUDIO_C",
    "SEVERITIES",
    "Attenuation",
    "Clipping",
    "Codec",
    "Corruption",
    "Distance",
    "Insects",
    "Rain",
    "Resampling",
    "Reverberation",
    "Room",
    "TimeMasking",
    "Wind",
]
