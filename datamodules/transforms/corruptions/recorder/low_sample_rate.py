"""A recorder with a low sampling rate."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Corruption, Samples
from steadyear.datamodules.transforms.corruptions.fixed_parameters import apply_transform


class Resampling(Corruption[float]):
    """Resamples to a lower rate and back, which loses the treble.

    Levels are shares of the clip's sampling rate; of 32 kHz they are 24, 16, 12, 8 and 4 kHz.

    ======== ==== === ===== ==== =====
    severity 1    2   3     4    5
    share    0.75 0.5 0.375 0.25 0.125
    ======== ==== === ===== ==== =====
    """

    name = "resampling"
    levels = (0.75, 0.5, 0.375, 0.25, 0.125)

    def corrupt(
        self, samples: Samples, sample_rate: int, level: float, rng: np.random.Generator
    ) -> Samples:
        """Resample twice; see the base class."""
        low = round(sample_rate * level)
        fewer = apply_transform("Resample", samples, sample_rate, target_sample_rate=low)
        return apply_transform("Resample", fewer, low, target_sample_rate=sample_rate)
