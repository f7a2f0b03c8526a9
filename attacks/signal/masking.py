"""Masking thresholds of a clip by a simple psychoacoustic model."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FULL_SCALE_DB = 96.0
"""Assumed sound pressure level of a sine of amplitude 1, in dB."""

_LOUDEST_QUIET = 68.0  # dB; the formula for the threshold in quiet grows without limit
_TONE, _NOISE = 14.5, 5.5  # dB below a masking tone (plus its Bark number), and masking noise
_TONAL = -60.0  # dB of spectral flatness, and below: a tone
_RISE = 2.0  # by how much a threshold may rise from one frame to the next


@torch.no_grad()
def masking_threshold(x: Tensor, sample_rate: float, bins: int) -> Tensor:
    """Energy that each coefficient of an orthonormal transform may have without being audible.

    Johnston's model (1988, "Transform coding of audio signals using perceptual noise criteria"): the
    energy of critical bands, spread over its neighbours as by Schroeder et al. (1979), lies above
    its threshold by an offset between that of masking noise and that of masking tones, as the
    flatness of the spectrum says. A band's threshold is shared by its bins. Thresholds do not rise
    faster than by a factor of two per frame (against pre-echoes, as in ISO 11172-3, model 2), and
    do not fall below the threshold in quiet (Terhardt, 1979, here at most 68 dB), if a sine of
    full scale is played at 96 dB.

    Args:
        x: Waveforms, shape (batch, time); full scale is 1.
        sample_rate: Sample rate in Hz.
        bins: Number of frequencies; frames advance by as many samples, and are twice as long.

    Returns:
        Energies in float64, shape (batch, frames, bins). Frame t has its middle ``bins`` samples from
        t * bins on, and bin k its centre at (k + 0.5) * sample_rate / (2 * bins).
    """
    frequency = (torch.arange(bins, dtype=torch.float64) + 0.5) * sample_rate / (2 * bins)
    number = bark(frequency).floor().long()
    present = torch.arange(int(number.max()) + 1)
    present = present[(number[:, None] == present).any(0)]
    member = (number[:, None] == present).double()
    share = (member / member.sum(0)).T
    quiet = (_sine(threshold_in_quiet(frequency), bins) / (member @ member.sum(0))).to(x.device)
    member, share, present = member.to(x.device), share.to(x.device), present.to(x.device)
    power = _power(x.double(), bins)
    spread = power @ member @ _spreading(present.double()).T
    offset = _offset(torch.maximum(power, quiet), present)
    masked = spread * 10 ** (-offset / 10)
    before = torch.cat([masked[:, :1] / _RISE, masked[:, :-1]], 1)
    masked = torch.minimum(masked, _RISE * before)
    return torch.maximum(masked @ share, quiet)


def bark(frequency: Tensor) -> Tensor:
    """Critical-band rate in Bark (Zwicker and Terhardt, 1980).

    Args:
        frequency: Frequencies in Hz.
    """
    return 13 * torch.atan(0.00076 * frequency) + 3.5 * torch.atan((frequency / 7500).square())


def threshold_in_quiet(frequency: Tensor) -> Tensor:
    """Sound pressure level in dB of a sine that is just audible (Terhardt, 1979), at most 68 dB.

    Args:
        frequency: Frequencies in Hz, above 0.
    """
    khz = frequency / 1000
    level: Tensor = 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3).square()) + 1e-3 * khz**4
    return level.clamp_max(_LOUDEST_QUIET)


def _sine(level: Tensor, bins: int) -> Tensor:
    """Energy in a frame of a sine of a sound pressure level in dB."""
    return bins / 2 * 10 ** ((level - FULL_SCALE_DB) / 10)


def _power(x: Tensor, bins: int) -> Tensor:
    """Power between the bins of a windowed Fourier transform, shape (batch, frames, bins).

    White noise has its variance in every bin, as in an orthonormal transform.
    """
    frames = math.ceil(x.shape[1] / bins)
    missing = frames * bins - x.shape[1]
    padded = F.pad(x, (bins // 2, missing + bins - bins // 2))
    place = torch.arange(2 * bins, dtype=x.dtype, device=x.device) + 0.5
    window = torch.sin(math.pi / (2 * bins) * place) / math.sqrt(bins)
    power: Tensor = torch.fft.rfft(padded.unfold(1, 2 * bins, bins) * window).abs().square()
    return (power[..., :-1] + power[..., 1:]) / 2


def _spreading(band: Tensor) -> Tensor:
    """What every band (row) receives of the energy of every other, in all 1; (bands, bands)."""
    away = band[:, None] - band + 0.474
    decibels = 15.81 + 7.5 * away - 17.5 * (1 + away.square()).sqrt()
    received: Tensor = 10 ** (decibels / 10)
    return received / received.sum(1, keepdim=True)


def _offset(power: Tensor, band: Tensor) -> Tensor:
    """How far in dB the threshold lies below the energy, shape (batch, frames, bands)."""
    flatness = 10 * (power.log10().mean(-1) - power.mean(-1).log10())
    tonality = (flatness / _TONAL).clamp(0, 1)[..., None]
    return tonality * (_TONE + band + 1) + (1 - tonality) * _NOISE
