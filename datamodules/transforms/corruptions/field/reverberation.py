"""Echoes of a forest, a valley or a room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import oaconvolve

from steadyear.datamodules.transforms.corruptions.base import Corruption, Floats, Samples

_EARLIEST_SECONDS = 0.002
_DECAY_OF_60_DB = 3 * np.log(10)


class Room(NamedTuple):
    """A place with echoes.

    Attributes:
        rt60: Time in seconds in which echoes fall by 60 dB.
        drr_db: Energy of the direct sound against that of all echoes, in dB.
    """

    rt60: float
    drr_db: float


class Reverberation(Corruption[Room]):
    """Adds a tail of echoes: noise that decays exponentially, convolved with the clip.

    The direct sound stays as it is; echoes begin 2 ms later. The statistical model of room
    responses is that of J. D. Polack (1988), with one decay for all frequencies.

    ========= === === === === ===
    severity  1   2   3   4   5
    RT60 [s]  0.2 0.4 0.8 1.6 3.2
    DRR [dB]  12  8   4   0   -4
    ========= === === === === ===
    """

    name = "reverberation"
    levels = (Room(0.2, 12.0), Room(0.4, 8.0), Room(0.8, 4.0), Room(1.6, 0.0), Room(3.2, -4.0))

    def corrupt(
        self, samples: Samples, sample_rate: int, level: Room, rng: np.random.Generator
    ) -> Floats:
        """Add echoes; see the base class."""
        tail = _tail(level, sample_rate, rng)
        echoes = oaconvolve(samples.astype(np.float64), tail)[: len(samples)]
        late = round(_EARLIEST_SECONDS * sample_rate)
        corrupted = samples.astype(np.float64)
        corrupted[late:] += echoes[: max(0, len(samples) - late)]
        return corrupted


def _tail(room: Room, sample_rate: int, rng: np.random.Generator) -> Floats:
    time = np.arange(max(1, round(room.rt60 * sample_rate))) / sample_rate
    tail = rng.standard_normal(len(time)) * np.exp(-_DECAY_OF_60_DB * time / room.rt60)
    wanted = 10 ** (-room.drr_db / 20)
    return np.asarray(tail * (wanted / np.sqrt(np.sum(tail**2))), np.float64)
