"""Dull sounds."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation, amount, positive
from steadyear.attacks.domains.transformations.spectra import filtered, transform_length

_TAIL = 12.0  # time constants after which the response has died away


class LowPass(Transformation):
    """An analogue low-pass filter of one pole, 6 dB per octave.

    The parameter counts in the time constant, which is 0 without a filter and falls with the cut-off
    frequency: at 2 kHz in the end, a parameter of 1/8 has 16 kHz. Its sign means nothing.

    Args:
        cutoff_hz: Cut-off frequency in Hz, where -3 dB are left, at a parameter of 1.
    """

    parameters = ("low_pass",)

    def __init__(self, cutoff_hz: float = 2000.0) -> None:
        self.cutoff_hz = positive(self, "cutoff_hz", cutoff_hz)

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Filter each clip; see the base class."""
        tail = _TAIL * sample_rate / (2 * torch.pi * self.cutoff_hz)
        length = transform_length(waveform.shape[1] + int(tail) + 1)
        frequency = torch.fft.rfftfreq(length, 1 / sample_rate).to(waveform)
        ratio = amount(values) * frequency / self.cutoff_hz
        # 1 / (1 + i r), written out: its gradient is real.
        response = torch.complex(torch.ones_like(ratio), -ratio) / (1 + ratio.square())
        return filtered(waveform, response, length)
