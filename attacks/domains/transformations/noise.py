"""Noise in the background."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation
from steadyear.foundation.random_streams import torch_generator


class BackgroundNoise(Transformation):
    """Steady noise, from none to a signal-to-noise ratio.

    The parameter counts in amplitude: 0.1 is 20 dB less noise than 1. A negative parameter turns
    the noise over, which is as loud. The noise is one recording, the same for all clips and calls,
    so that a point always means the same sound.

    Args:
        snr_db: Signal-to-noise ratio in dB at a parameter of 1, over the whole clip.
        slope_db: Fall of the noise's power density in dB per octave: 0 is white noise, 3 is pink.
        seed: Which noise.
    """

    parameters = ("noise",)

    def __init__(self, snr_db: float = 0.0, slope_db: float = 3.0, seed: int = 0) -> None:
        self.snr_db = snr_db
        self.slope_db = slope_db
        self.seed = seed

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Add noise to each clip; see the base class."""
        noise = coloured_noise(waveform.shape[1], self.slope_db, self.seed).to(waveform)
        # The slope of a root at 0 is infinite, and digital silence would have no gradient.
        tiny = torch.finfo(waveform.dtype).tiny
        loudness = waveform.square().mean(1, keepdim=True).clamp_min(tiny).sqrt()
        return waveform + values * 10 ** (-self.snr_db / 20) * loudness * noise


@lru_cache(maxsize=8)
def coloured_noise(samples: int, slope_db: float, seed: int) -> Tensor:
    """Gaussian noise with a root mean square of 1, shape (samples,), in double precision.

    Args:
        samples: Length.
        slope_db: Fall of the power density in dB per octave.
        seed: Seed of a generator of its own.
    """
    generator = torch_generator(seed)
    white = torch.randn(samples, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.rfft(white)
    bins = torch.arange(len(spectrum), dtype=torch.float64).clamp_min(1)
    noise: Tensor = torch.fft.irfft(spectrum * bins ** (-slope_db / (20 * math.log10(2))), samples)
    noise = noise - noise.mean()
    level: Tensor = noise.square().mean().sqrt()
    return noise / level.clamp_min(torch.finfo(noise.dtype).tiny)
