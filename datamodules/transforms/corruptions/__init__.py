"""Corruptions of audio-C: damage that happens in the field, in five severities."""

from __future__ import annotations

from typing import Any

from steadyear.datamodules.transforms.corruptions.base import SEVERITIES, Corruption
from steadyear.datamodules.transforms.corruptions.field.distance import Distance
from steadyear.datamodules.transforms.corruptions.field.insects import Insects
from steadyear.datamodules.transforms.corruptions.field.rain import Rain
from steadyear.datamodules.transforms.corruptions.field.reverberation import Reverberation, Room
from steadyear.datamodules.transforms.corruptions.field.wind import Wind
from steadyear.datamodules.transforms.corruptions.recorder.clipping import Clipping
from steadyear.datamodules.transforms.corruptions.recorder.codec import Codec
from steadyear.datamodules.transforms.corruptions.recorder.gain import Attenuation
from steadyear.datamodules.transforms.corruptions.recorder.low_sample_rate import Resampling
from steadyear.datamodules.transforms.corruptions.recorder.time_masking import TimeMasking

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
