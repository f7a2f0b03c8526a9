"""Filters that are given by their frequency responses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BLOCK = 1024  # lengths that are multiples of it have fast transforms


def transform_length(samples: int) -> int:
    """A length of at least ``samples`` that has a fast Fourier transform."""
    return -(-samples // _BLOCK) * _BLOCK


def filtered(waveform: Tensor, response: Tensor, length: int) -> Tensor:
    """Clips behind a filter, shape (batch, time).

    Args:
        waveform: Clips, shape (batch, time).
        response: Frequency responses, shape (batch or 1, ``length`` // 2 + 1).
        length: Length of the transform; what reaches beyond it comes in again at the beginning.
    """
    spectrum = torch.fft.rfft(waveform, length) * response
    sound: Tensor = torch.fft.irfft(spectrum, length)
    return sound[:, : waveform.shape[1]]


def frame_length(sample_rate: int) -> int:
    """Samples in a frame of about 50 ms: the power of 2 that is nearest by ratio."""
    return 1 << max(round(math.log2(0.05 * sample_rate)), 2)
