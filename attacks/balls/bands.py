"""The ball of a mask over frequency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from steadyear.attacks.balls.coefficients import ROUNDING, CoefficientBall
from steadyear.attacks.signal.sizes import l2_norm


class FrequencyMask(CoefficientBall):
    """In every frequency band the perturbation is limited relative to the clip's own level there.

    With ``eps`` 1 the energy of the perturbation in a band is at most ``limit_db`` above that of the
    clip in the same band; ``eps`` scales all limits, so that 0.5 is 6 dB stricter. Bands are those
    of the Fourier transform of the whole clip. A limit of ``-.inf`` forbids a band. Nothing is
    allowed where the clip has no energy. Only the total energy of a band is limited, over the whole
    clip: the perturbation may gather it in one moment.

    Args:
        sample_rate: Sample rate of the waveforms in Hz.
        edges_hz: Frequencies in Hz that part one band from the next, ascending: the first band
            begins at 0, the last one ends at half the sample rate.
        limits_db: Limit of every band in dB, one more than there are edges.
        eps: Budget, a factor for all limits.

    Raises:
        ValueError: If the edges do not ascend between 0 and half the sample rate, there is not one
            limit per band, all of them are forbidden, or the budget is negative.
    """

    norm = "bands"
    label = "band mask"
    relative_unit = "of the mask"

    def __init__(
        self,
        sample_rate: float,
        edges_hz: Sequence[float],
        limits_db: Sequence[float],
        eps: float = 0.0,
    ) -> None:
        super().__init__(eps)
        if not all(low < high for low, high in pairwise([0, *edges_hz, sample_rate / 2])):
            raise ValueError(
                f"The edges of bands ascend between 0 and {sample_rate / 2:g} Hz, half the sample "
                f"rate, which {list(edges_hz)} do not."
            )
        if len(limits_db) != len(edges_hz) + 1 or not any(math.isfinite(v) for v in limits_db):
            raise ValueError(
                f"{len(edges_hz)} edges make {len(edges_hz) + 1} bands: give each a limit in dB, of "
                f"which at least one is finite, not {list(limits_db)}."
            )
        if any(math.isnan(limit) or limit == math.inf for limit in limits_db):
            raise ValueError(f"Limits in dB are finite, or -.inf, not {list(limits_db)}.")
        self.sample_rate = sample_rate
        self.edges_hz = tuple(edges_hz)
        self.limits_db = tuple(limits_db)

    def limits(self, x: Tensor) -> Tensor:
        """Level of the clip in every band, raised by its limit."""
        with torch.no_grad():
            own = self.levels(self.coefficients(x.double()), x.shape[1])
            return own * own.new_tensor([10 ** (limit / 20) for limit in self.limits_db])

    def coefficients(self, waveform: Tensor) -> Tensor:
        """The real Fourier transform of the whole clip; its inner bins stand for two dimensions."""
        found: Tensor = torch.fft.rfft(waveform, norm="ortho")
        return found * self._weights(waveform.shape[1], waveform)

    def waveform(self, coefficients: Tensor, length: int) -> Tensor:
        """Its inverse."""
        found = coefficients / self._weights(length, coefficients.real)
        waveform: Tensor = torch.fft.irfft(found, length, norm="ortho")
        return waveform

    def levels(self, coefficients: Tensor, length: int) -> Tensor:
        """Square root of the energy in every band."""
        energy = coefficients.abs().square()
        ends = self._ends(length)
        bands = [energy[:, first:last].sum(1) for first, last in pairwise(ends)]
        return torch.stack(bands, 1).sqrt()

    def spread(self, values: Tensor, length: int) -> Tensor:
        """The value of its band for every bin."""
        widths = [last - first for first, last in pairwise(self._ends(length))]
        return values.repeat_interleave(torch.tensor(widths, device=values.device), 1)

    def dimensions(self, length: int, like: Tensor) -> Tensor:
        """Twice the number of inner bins of a band, and one for the first and the last bin."""
        weights = self._weights(length, like).square().round()
        ends = self._ends(length)
        numbers = [weights[first:last].sum().clamp_min(1) for first, last in pairwise(ends)]
        return torch.stack(numbers)

    def rounding(self, levels: Tensor, x: Tensor) -> Tensor:
        """All that rounding adds could fall into one band."""
        return ROUNDING * (l2_norm(x) + 4 * l2_norm(levels))[:, None]

    def _ends(self, length: int) -> list[int]:
        """First bin of every band, and the number of bins; an edge belongs to the upper band."""
        bins = [math.ceil(edge * length / self.sample_rate) for edge in self.edges_hz]
        return [0, *bins, length // 2 + 1]

    @staticmethod
    def _weights(length: int, like: Tensor) -> Tensor:
        """1 for the first bin, and the last one of an even length; else the root of 2."""
        weights = like.new_full((length // 2 + 1,), math.sqrt(2))
        weights[0] = 1
        if length % 2 == 0:
            weights[-1] = 1
        return weights
