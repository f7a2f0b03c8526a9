"""The front end of the music emotion models: a logarithmic filterbank at a fractional frame rate."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.lightning_modules.frontends.base import Frontend, Setting
from steadyear.lightning_modules.frontends.triangular_filterbank import triangular_filterbank

POWER_FLOOR = 1e-14
"""Added under the root of the magnitude; changes an output by less than 1e-7."""


class LogFilterbank(Frontend):
    """Logarithm of a magnitude spectrogram, summed in logarithmically spaced bands.

    The values are those of madmom (Böck et al., 2016) with ``origin="future"``: frame i starts at
    sample ``floor(i * sample_rate / frames_per_second)``, a symmetric Hann window, zeros behind the
    end of the clip, ``log10(1 + x)``. The defaults are those of Chowdhury et al., "Towards
    explainable music emotion recognition" (ISMIR 2019): 10 s give 313 frames of 149 bands.

    Args:
        sample_rate: Sampling rate in Hz.
        frames_per_second: Frames per second; the hop may be a fraction of a sample.
        frame_size: Length of a frame and of its FFT, in samples; an even number.
        bands_per_octave: Bands per octave; at low frequencies fewer are left.
        fmin: Lowest frequency in Hz.
        fmax: Highest frequency in Hz; may lie above the Nyquist frequency.
        mean: Mean of the raw spectrogram; ``None`` leaves it to be fitted on training clips.
        std: Standard deviation of the raw spectrogram; ``None`` leaves it to be fitted.

    Raises:
        ValueError: If the frame rate or the frame size is impossible, or no filter fits in.
    """

    time_dim: ClassVar[int] = -2

    window: Tensor
    filterbank: Tensor

    def __init__(
        self,
        sample_rate: int = 22050,
        frames_per_second: float = 31.3,
        frame_size: int = 2048,
        bands_per_octave: int = 24,
        fmin: float = 20.0,
        fmax: float = 16000.0,
        mean: float | None = None,
        std: float | None = None,
    ) -> None:
        super().__init__(sample_rate, mean, std)
        if not 0 < frames_per_second <= sample_rate:
            raise ValueError(
                f"frames_per_second must lie between 0 and the sampling rate {sample_rate}, "
                f"not be {frames_per_second}."
            )
        if frame_size < 2 or frame_size % 2:
            raise ValueError(f"frame_size must be a positive even number, not {frame_size}.")
        self.frames_per_second = frames_per_second
        self.frame_size = frame_size
        self.bands_per_octave = bands_per_octave
        self.fmin = fmin
        self.fmax = fmax
        self.hop = sample_rate / frames_per_second
        # As a ratio of integers, positions are exact on every device, however long the clip is.
        self._hop = Fraction(sample_rate) / Fraction(str(frames_per_second))
        filterbank = triangular_filterbank(sample_rate, frame_size, bands_per_octave, fmin, fmax)
        window = torch.hann_window(frame_size, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("filterbank", filterbank.float(), persistent=False)

    @property
    def settings(self) -> dict[str, Setting]:
        """Everything that changes the raw spectrogram; the key of every cache of it."""
        return {
            "sample_rate": self.sample_rate,
            "frames_per_second": self.frames_per_second,
            "frame_size": self.frame_size,
            "bands_per_octave": self.bands_per_octave,
            "fmin": self.fmin,
            "fmax": self.fmax,
        }

    def num_frames(self, num_samples: int) -> int:
        """Number of frames that ``num_samples`` samples give: one for every hop begun."""
        return -(-num_samples * self._hop.denominator // self._hop.numerator)

    def frame(self, waveform: Tensor) -> Tensor:
        """Cut clips into overlapping frames.

        Args:
            waveform: Clips, shape (batch, time).

        Returns:
            Frames, shape (batch, frames, ``frame_size``), not windowed.
        """
        batch, num_samples = waveform.shape
        frames = torch.arange(self.num_frames(num_samples), device=waveform.device)
        starts = frames * self._hop.numerator // self._hop.denominator
        # An unfolded view would be faster forwards, but its gradient fills a tensor of
        # time x frame_size values.
        positions = starts.unsqueeze(1) + torch.arange(self.frame_size, device=waveform.device)
        padded = F.pad(waveform, (0, self.frame_size))
        return padded.index_select(1, positions.flatten()).view(batch, -1, self.frame_size)

    def analyse(self, waveform: Tensor) -> Tensor:
        """Compute the raw, not yet standardised spectrogram.

        Args:
            waveform: Clips, shape (batch, time), full scale 1.

        Returns:
            Spectrograms, shape (batch, frames, bands).
        """
        spectrum = torch.fft.rfft(self.frame(waveform) * self.window)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        # The root has an infinite slope at 0, which in digital silence would make every gradient
        # NaN; the floor makes it 0 there, the slope of a minimum.
        return torch.log10(1 + (power + POWER_FLOOR).sqrt() @ self.filterbank)
