"""A recorder that was set too loud."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Corruption, Samples
from steadyear.datamodules.transforms.corruptions.fixed_parameters import apply_transform


class Clipping(Corruption[int]):
    """Cuts the loudest samples off (``audiomentations.ClippingDistortion``).

    Levels are percentages of the samples: half of them are cut above, half below.

    =========== = = = == ==
    severity    1 2 3 4  5
    clipped [%] 2 4 8 16 32
    =========== = = = == ==
    """

    name = "clipping"
    levels = (2, 4, 8, 16, 32)

    def corrupt(
        self, samples: Samples, sample_rate: int, level: int, rng: np.random.Generator
    ) -> Samples:
        """Clip samples; see the base class."""
        return apply_transform(
            "ClippingDistortion", samples, sample_rate, percentile_threshold=level
        )
