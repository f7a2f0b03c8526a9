"""The ball of inaudible perturbations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.balls.coefficients import ROUNDING, CoefficientBall
from steadyear.attacks.signal.masking import masking_threshold
from steadyear.attacks.signal.mdct import MDCT


class Psychoacoustic(CoefficientBall):
    """Every time-frequency coefficient is limited by the clip's own masking threshold.

    The coefficients are those of an orthonormal lapped cosine transform (``MDCT``), the thresholds
    those of ``masking_threshold``, computed once per clip and no part of the gradient. ``eps`` is
    the ratio of perturbation and threshold: at 1 the perturbation lies at the threshold, so that the
    model would call it inaudible; 2 is 6 dB above. ``size`` says how far the loudest coefficient
    is. Levels assume that a sine of full scale, amplitude 1, is played at 96 dB.

    It is a model of hearing, made for coding, not a listening test.

    Args:
        sample_rate: Sample rate of the waveforms in Hz.
        eps: Budget as a ratio of amplitudes.
        bins: Frequencies per block, even; blocks advance by as many samples. The default is a
            resolution of 31 Hz and 16 ms at 32 kHz.

    Raises:
        ValueError: If the budget is negative, the sample rate is not positive, or the number of bins
            is odd or not positive.
    """

    norm = "masking"
    label = "masking threshold"
    relative_unit = "of the threshold"

    def __init__(self, sample_rate: float, eps: float = 0.0, bins: int = 512) -> None:
        super().__init__(eps)
        if sample_rate <= 0 or bins < 2 or bins % 2:
            raise ValueError(
                "Psychoacoustic needs a positive sample rate and an even number of bins, not "
                f"{sample_rate}, {bins}."
            )
        self.sample_rate = sample_rate
        self.bins = bins

    def limits(self, x: Tensor) -> Tensor:
        """Amplitude of every coefficient at the threshold."""
        threshold = masking_threshold(x, self.sample_rate, self.bins).sqrt()
        mdct = MDCT(x.shape[1], self.bins)
        full, last = threshold[:, : mdct.full_blocks], threshold[:, mdct.full_blocks :]
        # The last block may be longer, and finer: the lower threshold of what it covers.
        place = torch.arange(mdct.last_bins, device=x.device) + 0.5
        nearest = (place * (self.bins / mdct.last_bins)).long().clamp_max(self.bins - 1)
        return torch.cat([full.flatten(1), last.amin(1)[:, nearest]], 1)

    def coefficients(self, waveform: Tensor) -> Tensor:
        """The lapped transform."""
        return MDCT(waveform.shape[1], self.bins).forward(waveform)

    def waveform(self, coefficients: Tensor, length: int) -> Tensor:
        """Its inverse."""
        return MDCT(length, self.bins).inverse(coefficients)

    def levels(self, coefficients: Tensor, length: int) -> Tensor:
        """Absolute values: every coefficient is a group."""
        return coefficients.abs()

    def spread(self, values: Tensor, length: int) -> Tensor:
        """The values themselves."""
        return values

    def dimensions(self, length: int, like: Tensor) -> Tensor:
        """One."""
        return like.new_ones(length)

    def rounding(self, levels: Tensor, x: Tensor) -> Tensor:
        """All that rounding adds around a block could fall into one coefficient."""
        mdct = MDCT(x.shape[1], self.bins)
        # A coefficient reaches into the next blocks, and there meets what comes from those behind.
        around = (
            _around(_energies(mdct, x), 1).sqrt() + 4 * _around(_energies(mdct, levels), 2).sqrt()
        )
        full = around[:, :-1, None].expand(-1, -1, self.bins).flatten(1)
        return ROUNDING * torch.cat([full, around[:, -1:].expand(-1, mdct.last_bins)], 1)


def _energies(mdct: MDCT, values: Tensor) -> Tensor:
    """Energy of every block, shape (batch, blocks)."""
    full, last = mdct.split(values)
    return torch.cat([full.square().sum(2), last.square().sum(1, keepdim=True)], 1)


def _around(energies: Tensor, reach: int) -> Tensor:
    """Sum over every block and as many neighbours on both sides."""
    return F.pad(energies, (reach, reach)).unfold(1, 2 * reach + 1, 1).sum(2)
