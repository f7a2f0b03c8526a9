"""Faster and slower sounds."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation
from steadyear.attacks.domains.transformations.spectra import frame_length
from steadyear.attacks.domains.transformations.time_stretch import stretched


class Tempo(Transformation):
    """Faster or slower at the same pitch, by a phase vocoder.

    A faster clip ends in silence, a slower one is cut.

    Args:
        percent: Change of tempo at a parameter of 1; -1 is as much slower. Above 0, below 100.

    Raises:
        ValueError: If the change is out of its range.
    """

    parameters = ("tempo",)

    def __init__(self, percent: float = 5.0) -> None:
        if not 0 < percent < 100:
            raise ValueError(f"percent of Tempo lies between 0 and 100, it is not {percent}.")
        self.percent = percent

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Stretch each clip; see the base class."""
        rate = 1 + values.double() * self.percent / 100
        return stretched(waveform, rate, waveform.shape[1], frame_length(sample_rate))
