"""Noise that is added at a signal-to-noise ratio."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Corruption, Floats, Samples

_SILENCE = 1e-12


class AddedNoise(Corruption[float]):
    """Adds noise; levels are signal-to-noise ratios in dB, over the whole clip.

    The ratio is that of root mean squares. A song fills only a part of its clip: there the ratio is
    better than the level says.
    """

    def corrupt(
        self, samples: Samples, sample_rate: int, level: float, rng: np.random.Generator
    ) -> Floats:
        """Add noise; see the base class."""
        noise = self.noise(len(samples), sample_rate, rng)
        return samples + scaled(noise, rms(samples) / 10 ** (level / 20))

    @abstractmethod
    def noise(self, length: int, sample_rate: int, rng: np.random.Generator) -> Floats:
        """Noise of any size.

        Args:
            length: Number of samples.
            sample_rate: Sampling rate in Hz.
            rng: Random numbers of the clip.
        """


def rms(samples: Samples | Floats) -> float:
    """Root mean square of a clip.

    Args:
        samples: The clip, shape (time,).
    """
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def scaled(noise: Floats, size: float) -> Floats:
    """Noise with another root mean square.

    Args:
        noise: The noise, shape (time,).
        size: Its root mean square afterwards; 0 gives zeros.
    """
    return noise * (size / max(rms(noise), _SILENCE))
