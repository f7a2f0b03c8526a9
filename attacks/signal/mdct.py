"""A lapped cosine transform of waveforms that is exactly orthonormal at every length."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


class MDCT:
    """The modified discrete cosine transform with a sine window, for waveforms of one length.

    A waveform is cut into blocks. Around every border between two blocks its values are mixed with
    their mirror images (the time-domain aliasing of Princen, Johnson and Bradley, ICASSP 1987), then
    every block goes through an orthonormal DCT-IV. Nothing is mixed at the two ends, and the last
    block takes what is left, up to twice the usual length. So there is no padding: the transform is
    a rotation of the waveform's own space, and its inverse is its transpose.

    Args:
        length: Number of samples of a waveform, at least 1.
        bins: Coefficients per block, even; the last block has ``last_bins``.

    Raises:
        ValueError: If the number of bins is not even and positive, or there is no sample.
    """

    def __init__(self, length: int, bins: int) -> None:
        if bins < 2 or bins % 2 or length < 1:
            raise ValueError(
                f"An MDCT needs an even number of bins and at least one sample, not {bins}, {length}."
            )
        self.bins = bins
        self.full_blocks = max(length // bins - 1, 0)
        self.last_bins = length - self.full_blocks * bins

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients, block after block, shape (batch, length).

        Args:
            x: Waveforms, shape (batch, length).
        """
        return self._blockwise(self._mixed(x, 1.0))

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Waveforms, shape (batch, length).

        Args:
            coefficients: Coefficients, shape (batch, length).
        """
        return self._mixed(self._blockwise(coefficients), -1.0)

    def split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Full blocks, shape (batch, blocks, bins), and the last one, shape (batch, last_bins).

        Args:
            values: One value per coefficient or sample, shape (batch, length).
        """
        full = self.full_blocks * self.bins
        return values[:, :full].reshape(len(values), -1, self.bins), values[:, full:]

    def _mixed(self, x: Tensor, sign: float) -> Tensor:
        """Mix around every border; -1 undoes it."""
        half, full = self.bins // 2, self.full_blocks * self.bins
        around = x[:, half : half + full].reshape(len(x), -1, self.bins)
        own, other = _window(self.bins, x.dtype, x.device)
        mixed = (own * around + sign * other * around.flip(-1)).reshape(len(x), full)
        return torch.cat([x[:, :half], mixed, x[:, half + full :]], 1)

    def _blockwise(self, x: Tensor) -> Tensor:
        blocks = [block @ _cosines(block.shape[-1], x.dtype, x.device) for block in self.split(x)]
        return torch.cat([block.flatten(1) for block in blocks], 1)


# A few sizes live at once: those of the clips of one experiment.
@lru_cache(maxsize=8)
def _window(bins: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Weight of every value around a border, and of its mirror image; a rotation of each pair."""
    rising = torch.sin(math.pi / (2 * bins) * (torch.arange(bins, dtype=torch.float64) + 0.5))
    falling, later = rising.flip(0), torch.arange(bins) >= bins // 2
    own, other = torch.maximum(rising, falling), torch.minimum(rising, falling)
    return own.to(device, dtype), torch.where(later, other, -other).to(device, dtype)


@lru_cache(maxsize=8)
def _cosines(bins: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The orthonormal DCT-IV, which is symmetric and so its own inverse, shape (bins, bins)."""
    place = torch.arange(bins, dtype=torch.float64) + 0.5
    cosines = torch.cos(math.pi / bins * place[:, None] * place)
    return (math.sqrt(2 / bins) * cosines).to(device, dtype)
