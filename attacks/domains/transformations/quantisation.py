"""Coarse spectra, as lossy compression leaves them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.domains.transformations.base import Transformation, amount, positive
from steadyear.attacks.domains.transformations.spectra import frame_length

_BAND = 16  # bins that share one step
_OVERLAP = 4


class SpectralQuantisation(Transformation):
    """Rounds spectra to steps that are a share of the level in their band, as a codec does.

    Not a codec: nothing is coded, and real ones, which have no gradient, are a matter of corruption
    benchmarks. Rounding is given the slope of what it rounds, so that the gradient in the parameter
    says how the error grows with the step. The parameter's sign means nothing.

    Args:
        step: Step at a parameter of 1, as a share of the root mean square of 16 neighbouring bins.
            Values below half a step vanish.
    """

    parameters = ("quantisation",)

    def __init__(self, step: float = 2.0) -> None:
        self.step = positive(self, "step", step)

    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Round the spectrum of each clip; see the base class."""
        frame = frame_length(sample_rate)
        window, hop = torch.hann_window(frame).to(waveform), frame // _OVERLAP
        spectrum = torch.stft(
            waveform, frame, hop, window=window, pad_mode="constant", return_complex=True
        )
        parts = torch.view_as_real(spectrum)
        step = amount(values)[:, :, None, None] * self.step * _band_level(parts)
        lost = _rounding(parts.detach() / step.detach().clamp_min(1e-30))
        found = torch.view_as_complex((parts + step * lost).contiguous())
        return torch.istft(found, frame, hop, window=window, length=waveform.shape[1])


def _rounding(values: Tensor) -> Tensor:
    """What is added when values are rounded; nothing where they are too large to have fractions."""
    return torch.where(values.isfinite(), values.round() - values, torch.zeros_like(values))


def _band_level(parts: Tensor) -> Tensor:
    """Level around each bin in each frame, shape (batch, bins, frames, 1)."""
    power = parts.square().mean(-1)
    bins = power.shape[1]
    # The last band has fewer bins, and the mean is over those that there are.
    pooled = F.avg_pool2d(power[:, None], (_BAND, 1), ceil_mode=True, count_include_pad=False)
    level = pooled[:, 0].clamp_min(torch.finfo(power.dtype).tiny).sqrt()
    return level.repeat_interleave(_BAND, 1)[:, :bins, :, None]
