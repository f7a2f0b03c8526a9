"""Rain on leaves and on the recorder."""

from __future__ import annotations

import numpy as np

from steadyear.datamodules.transforms.corruptions.added_noise import AddedNoise, scaled
from steadyear.datamodules.transforms.corruptions.base import Floats
from steadyear.datamodules.transforms.corruptions.shaping import coloured

_DROPS_PER_SECOND = 60.0
_LOWEST_HZ = 200.0
_RING_HZ = (800.0, 6000.0)
_DECAY_SECONDS = (0.001, 0.004)
_DECAYS = 5.0


class Rain(AddedNoise):
    """Drops, as short decaying tones of random pitch and force, over the hiss of all the others.

    Drops fall independently of each other, 60 per second; they and the hiss have equal power. The
    power of the hiss falls by 3 dB per octave.

    ======== == == == == ===
    severity 1  2  3  4  5
    SNR [dB] 20 14 8  2  -4
    ======== == == == == ===
    """

    name = "rain"
    levels = (20.0, 14.0, 8.0, 2.0, -4.0)

    def noise(self, length: int, sample_rate: int, rng: np.random.Generator) -> Floats:
        """Make rain; see the base class."""
        hiss = coloured(length, sample_rate, rng, lambda hz: np.maximum(hz, _LOWEST_HZ) ** -0.5)
        return scaled(hiss, 1.0) + scaled(_drops(length, sample_rate, rng), 1.0)


def _drops(length: int, sample_rate: int, rng: np.random.Generator) -> Floats:
    drops = np.zeros(length)
    for _ in range(rng.poisson(_DROPS_PER_SECOND * length / sample_rate)):
        start, force = int(rng.integers(length)), rng.lognormal()
        pitch, decay = rng.uniform(*_RING_HZ), rng.uniform(*_DECAY_SECONDS)
        time = np.arange(round(_DECAYS * decay * sample_rate)) / sample_rate
        ring = force * np.exp(-time / decay) * np.sin(2 * np.pi * pitch * time)
        drops[start : start + len(ring)] += ring[: length - start]
    return drops
