"""Triangular filters on a logarithmic frequency axis, which torchaudio does not have."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TUNING = 440.0
"""Frequency in Hz that the bands are aligned with."""


def triangular_filterbank(
    sample_rate: int, frame_size: int, bands_per_octave: int, fmin: float, fmax: float
) -> Tensor:
    """Build overlapping triangular filters on a logarithmic frequency axis.

    Every band centre is moved to the nearest FFT bin, and a bin serves as a centre only once: at
    low frequencies, where the bins lie wider apart than the bands, bands are lost. A filter reaches
    from the centre of the band below to the centre of the band above and sums to 1.

    Args:
        sample_rate: Sampling rate in Hz.
        frame_size: Size of the FFT in samples.
        bands_per_octave: Number of bands per octave before duplicates are removed.
        fmin: Lowest frequency in Hz.
        fmax: Highest frequency in Hz; bands above the Nyquist frequency are cut.

    Returns:
        Filters in double precision, shape (``frame_size // 2``, bands); the Nyquist bin is left out.

    Raises:
        ValueError: If the range of frequencies holds fewer than three distinct bins.
    """
    if not 0 < fmin < fmax:
        raise ValueError(f"The front end needs 0 < fmin < fmax, not fmin={fmin} and fmax={fmax}.")
    num_bins = frame_size // 2
    # The upper end is exclusive: a band exactly at fmax is left out, as in madmom.
    first, stop = (math.ceil(bands_per_octave * math.log2(f / TUNING)) for f in (fmin, fmax))
    frequencies = TUNING * 2 ** (torch.arange(first, stop, dtype=torch.float64) / bands_per_octave)
    nearest = torch.floor(frequencies * frame_size / sample_rate + 0.5).clamp(max=num_bins - 1)
    edges = nearest[nearest.diff(prepend=nearest.new_tensor([-1.0])) > 0]
    if len(edges) < 3:
        raise ValueError(
            f"Frequencies from {fmin} to {fmax} Hz hold no filter at frame_size={frame_size}: "
            "widen the range or enlarge frame_size."
        )
    bins = torch.arange(num_bins, dtype=torch.float64).unsqueeze(1)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters = torch.minimum(rising, falling).clamp(min=0)
    return filters / filters.sum(dim=0)
