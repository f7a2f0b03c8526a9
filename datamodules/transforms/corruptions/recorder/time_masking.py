"""A stretch of the recording that is missing."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Corruption, Samples
from steadyear.datamodules.transforms.corruptions.fixed_parameters import apply_transform


class TimeMasking(Corruption[float]):
    """Silences one stretch at a random place (``audiomentations.TimeMask``, faded over 5 ms).

    Levels are shares of the clip. With the same random numbers a longer stretch contains the
    shorter ones.

    ======== === === === ==== ===
    severity 1   2   3   4    5
    share    0.1 0.2 0.3 0.45 0.6
    ======== === === === ==== ===
    """

    name = "time_masking"
    levels = (0.1, 0.2, 0.3, 0.45, 0.6)

    def corrupt(
        self, samples: Samples, sample_rate: int, level: float, rng: np.random.Generator
    ) -> Samples:
        """Silence a stretch; see the base class."""
        masked = round(level * len(samples))
        # One share of the room that is left, so that stretches of all severities are nested.
        start = int(rng.uniform() * (len(samples) - masked))
        return apply_transform("TimeMask", samples, sample_rate, t=masked, t0=start)
