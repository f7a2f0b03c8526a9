"""Crickets and cicadas."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.added_noise import AddedNoise, scaled
from steadyear.datamodules.transforms.corruptions.base import Floats
from steadyear.datamodules.transforms.corruptions.shaping import coloured, drifting

_CHORUS = 3
_BAND_HZ = (3000.0, 9000.0)
_HIGHEST_SHARE = 0.45
_WIDTH_HZ = (60.0, 300.0)
_PULSES_HZ = (8.0, 60.0)
_PHRASE_SECONDS = 0.5


class Insects(AddedNoise):
    """Three insects: each a narrow band between 3 and 9 kHz, pulsed, louder and softer in phrases.

    Bands end below half the sampling rate. An insect pulses 8 to 60 times per second.

    ======== == == == == ===
    severity 1  2  3  4  5
    SNR [dB] 20 14 8  2  -4
    ======== == == == == ===
    """

    name = "insects"
    levels = (20.0, 14.0, 8.0, 2.0, -4.0)

    def noise(self, length: int, sample_rate: int, rng: np.random.Generator) -> Floats:
        """Make a chorus; see the base class."""
        chorus = [_insect(length, sample_rate, rng) for _ in range(_CHORUS)]
        return np.asarray(np.sum(chorus, axis=0), np.float64)


def _insect(length: int, sample_rate: int, rng: np.random.Generator) -> Floats:
    highest = min(_BAND_HZ[1], _HIGHEST_SHARE * sample_rate)
    centre = rng.uniform(min(_BAND_HZ[0], highest / 2), highest)
    width, pulses = rng.uniform(*_WIDTH_HZ), rng.uniform(*_PULSES_HZ)
    band = coloured(
        length, sample_rate, rng, lambda hz: np.exp(-0.5 * ((hz - centre) / width) ** 2)
    )
    time = np.arange(length) / sample_rate
    strokes = 0.5 + 0.5 * np.sin(2 * np.pi * (pulses * time + rng.uniform()))
    phrases = np.exp(drifting(length, sample_rate, rng, _PHRASE_SECONDS))
    return scaled(band * strokes**2 * phrases, rng.uniform(0.5, 1.0))
