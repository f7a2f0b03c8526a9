"""Higher and lower sounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation, positive
from steadyear.attacks.domains.transformations.resampling import read_at
from steadyear.attacks.domains.transformations.spectra import frame_length
from steadyear.attacks.domains.transformations.time_stretch import stretched


class Pitch(Transformation):
    """Higher or lower at the same tempo: stretched by a phase vocoder, and read faster.

    Frequencies that would go beyond half of the sampling rate are mirrored there.

    Args:
        cents: Shift in hundredths of a semitone at a parameter of 1; -1 is as much lower.
    """

    parameters = ("pitch",)

    def __init__(self, cents: float = 100.0) -> None:
        self.cents = positive(self, "cents", cents)

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Shift each clip; see the base class."""
        samples, highest = waveform.shape[1], 2 ** (self.cents / 1200)
        factor = highest ** values.double()
        longest = math.ceil(samples * highest) + 1
        longer = stretched(waveform, 1 / factor, longest, frame_length(sample_rate))
        return read_at(longer, torch.arange(samples, device=factor.device) * factor)
