"""Reading clips between their samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.domains.transformations.spectra import transform_length

_FINER = 4  # at this rate a cubic is within 1 % at the highest frequency, and 0.1 % an octave below
_MARGIN = 64  # samples of silence, for the transform takes a clip as a circle


def read_at(waveform: Tensor, place: Tensor) -> Tensor:
    """Values of band-limited clips at any place, shape (batch, places); differentiable.

    The clip is brought to four times its rate by a Fourier transform, and read there with the cubic
    of Catmull and Rom.

    Args:
        waveform: Clips, shape (batch, time).
        place: Places in samples from 0 to time - 1, shape (batch, places), in double precision.
    """
    length = transform_length(waveform.shape[1] + _MARGIN)
    spectrum = torch.fft.rfft(waveform, length)
    # The highest frequency stands for two, which lie apart at the finer rate.
    halved = F.pad(spectrum.new_ones(spectrum.shape[1] - 1), (0, 1), value=0.5)
    fine = _FINER * torch.fft.irfft(spectrum * halved, _FINER * length)
    # Rolled, because the first place needs a value before it.
    fine = fine.roll(1, -1)
    place = place * _FINER + 1
    index = place.detach().floor().long()
    share = (place - index).to(waveform.dtype)
    a, b, c, d = (fine.gather(1, index + offset) for offset in (-1, 0, 1, 2))
    bend = 2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a)
    found: Tensor = b + 0.5 * share * (c - a + share * bend)
    return found
