"""Loudness."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation, positive


class Gain(Transformation):
    """Louder or softer; the parameter counts in decibels.

    Args:
        db: Gain in dB at a parameter of 1; -1 is as much softer.
    """

    parameters = ("gain",)

    def __init__(self, db: float = 12.0) -> None:
        self.db = positive(self, "db", db)

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Scale each clip; see the base class."""
        return waveform * 10 ** (values * self.db / 20)
