"""Echoes of a room."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation, positive
from steadyear.attacks.domains.transformations.noise import coloured_noise
from steadyear.attacks.domains.transformations.spectra import filtered, transform_length

_DELAY = 0.005  # seconds from the direct sound to the first echo


class RoomImpulseResponse(Transformation):
    """The direct sound and a tail of noise that dies away exponentially.

    ``reverberation`` counts in the amplitude of the tail: at 1 it has as much energy as
    ``direct_to_reverberant_db`` says, at 0.1 20 dB less; a negative value turns the tail over.
    ``decay`` moves the reverberation time from the shortest at -1 to the longest at 1, evenly in
    its logarithm; without reverberation it changes nothing. The tail is the same for all clips.

    Args:
        direct_to_reverberant_db: Energy of the direct sound over that of the tail in dB, at a
            parameter of 1.
        decay_seconds: Shortest and longest time in which the tail falls by 60 dB.
        seed: Which tail.

    Raises:
        ValueError: If the times are not above 0, or not in ascending order.
    """

    parameters = ("reverberation", "decay")

    def __init__(
        self,
        direct_to_reverberant_db: float = 0.0,
        decay_seconds: tuple[float, float] = (0.15, 1.2),
        seed: int = 0,
    ) -> None:
        shortest, longest = decay_seconds
        positive(self, "decay_seconds", shortest)
        if not shortest <= longest:
            raise ValueError(
                f"decay_seconds of RoomImpulseResponse ascend, they are not {decay_seconds}."
            )
        self.direct_to_reverberant_db = direct_to_reverberant_db
        self.decay_seconds = (shortest, longest)
        self.seed = seed

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Add the tail to each clip; see the base class."""
        reverberation, decay = values[:, :1], values[:, 1:]
        tail = self.tail(decay, sample_rate) * 10 ** (-self.direct_to_reverberant_db / 20)
        delay = round(_DELAY * sample_rate)
        length = transform_length(waveform.shape[1] + tail.shape[1] + delay)
        delayed = torch.nn.functional.pad(reverberation * tail, (delay, 0))
        return waveform + filtered(waveform, torch.fft.rfft(delayed, length), length)

    def tail(self, decay: Tensor, sample_rate: int) -> Tensor:
        """Echoes of unit energy, shape (batch, samples).

        Args:
            decay: Parameter of each clip, shape (batch, 1).
            sample_rate: Sampling rate in Hz.
        """
        shortest, longest = self.decay_seconds
        middle, ratio = math.sqrt(shortest * longest), math.sqrt(longest / shortest)
        samples = max(round(longest * sample_rate), 1)
        noise = coloured_noise(samples, 0.0, self.seed).to(decay)
        seconds = torch.arange(samples).to(decay) / sample_rate
        echoes = noise * 10 ** (-3 * seconds / (middle * ratio**decay))
        return echoes / echoes.square().sum(1, keepdim=True).sqrt()
