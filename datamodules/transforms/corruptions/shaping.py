"""Coloured noise and slow changes, of which weather and insects are made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from steadyear.datamodules.transforms.corruptions.base import Floats


def coloured(
    length: int, sample_rate: int, rng: np.random.Generator, shape: Callable[[Floats], Floats]
) -> Floats:
    """Gaussian noise with a given spectrum, shape (length,).

    Args:
        length: Number of samples.
        sample_rate: Sampling rate in Hz.
        rng: Random numbers.
        shape: Gives amplitudes from frequencies in Hz.
    """
    padded = fft.next_fast_len(length, real=True)
    spectrum = fft.rfft(rng.standard_normal(padded))
    frequencies = np.asarray(fft.rfftfreq(padded, 1 / sample_rate), np.float64)
    return np.asarray(fft.irfft(spectrum * shape(frequencies), padded)[:length], np.float64)


def drifting(length: int, sample_rate: int, rng: np.random.Generator, seconds: float) -> Floats:
    """Standard normal numbers, one every few seconds, joined by straight lines, shape (length,).

    Args:
        length: Number of samples.
        sample_rate: Sampling rate in Hz.
        rng: Random numbers.
        seconds: Time from one number to the next.
    """
    place = np.arange(length) / (seconds * sample_rate)
    knots = rng.standard_normal(int(place[-1]) + 2)
    return np.interp(place, np.arange(len(knots)), knots)
