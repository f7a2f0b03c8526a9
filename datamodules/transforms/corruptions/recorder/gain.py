"""A recorder that was set too low."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Corruption, Samples
from steadyear.datamodules.transforms.corruptions.fixed_parameters import apply_transform


class Attenuation(Corruption[float]):
    """Makes the clip quieter (``audiomentations.Gain``); nothing else is lost.

    Levels are gains in dB.

    ========= == === === === ===
    severity  1  2   3   4   5
    gain [dB] -6 -12 -18 -24 -36
    ========= == === === === ===
    """

    name = "gain"
    levels = (-6.0, -12.0, -18.0, -24.0, -36.0)

    def corrupt(
        self, samples: Samples, sample_rate: int, level: float, rng: np.random.Generator
    ) -> Samples:
        """Attenuate; see the base class."""
        ratio = 10 ** (level / 20)
        return apply_transform("Gain", samples, sample_rate, amplitude_ratio=ratio)
