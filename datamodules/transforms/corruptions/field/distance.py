"""A bird that is farther away."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.added_noise import rms, scaled
from steadyear.datamodules.transforms.corruptions.base import Corruption, Floats, Samples
from steadyear.datamodules.transforms.corruptions.fixed_parameters import apply_transform

_RECORDED_METRES = 10.0
_FLOOR_DB = -40.0
_CELSIUS, _HUMIDITY = 20, 60


class Distance(Corruption[float]):
    """Moves the sound away: less level, less treble, and the recorder's own noise stays.

    Levels are distances in metres; the clip counts as recorded at 10 m. The level falls with the
    distance, air absorbs high frequencies (``audiomentations.AirAbsorption`` at 20 degrees Celsius
    and 60 % humidity), and white noise 40 dB below the clip as it was is added. Without that noise
    distance would be a gain and a filter, of which nothing is lost.

    ============ == == == === ===
    severity     1  2  3  4   5
    distance [m] 20 40 80 160 320
    ============ == == == === ===
    """

    name = "distance"
    levels = (20.0, 40.0, 80.0, 160.0, 320.0)

    def corrupt(
        self, samples: Samples, sample_rate: int, level: float, rng: np.random.Generator
    ) -> Floats:
        """Move the sound away; see the base class."""
        air = {"temperature": _CELSIUS, "humidity": _HUMIDITY, "distance": level}
        audible = apply_transform("AirAbsorption", samples, sample_rate, **air)
        floor = scaled(rng.standard_normal(len(samples)), rms(samples) * 10 ** (_FLOOR_DB / 20))
        return audible * (_RECORDED_METRES / level) + floor
