"""Wind in the microphone."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.added_noise import AddedNoise
from steadyear.datamodules.transforms.corruptions.base import Floats
from steadyear.datamodules.transforms.corruptions.shaping import coloured, drifting

_LOWEST_HZ = 20.0
_GUST_SECONDS = 0.7
_GUST_DEPTH = 0.8


class Wind(AddedNoise):
    """Low rumble whose power falls with the square of the frequency, in gusts.

    Gusts are a log-normal envelope that changes within about a second.

    ======== == == == === ===
    severity 1  2  3  4   5
    SNR [dB] 10 4  -2 -8  -14
    ======== == == == === ===
    """

    name = "wind"
    levels = (10.0, 4.0, -2.0, -8.0, -14.0)

    def noise(self, length: int, sample_rate: int, rng: np.random.Generator) -> Floats:
        """Make wind; see the base class."""
        rumble = coloured(length, sample_rate, rng, lambda hz: 1 / np.maximum(hz, _LOWEST_HZ))
        gusts = np.exp(_GUST_DEPTH * drifting(length, sample_rate, rng, _GUST_SECONDS))
        return rumble * gusts
