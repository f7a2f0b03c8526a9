"""The front ends of the bird sound models: mel spectrograms in decibels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from steadyear.lightning_modules.frontends.base import Frontend, Setting

MIN_POWER = 1e-10
"""Power below which the logarithm is cut: -100 dB."""


class LogMel(Frontend):
    """Power spectrogram in decibels on the mel scale.

    Periodic Hann window, frames centred on their sample with reflected ends, mel scale of HTK
    from 0 Hz to the Nyquist frequency, triangles with a peak of 1. The range is cut ``top_db``
    below the loudest value of the same clip. BirdSet and AudioProtoPNet cut below the loudest value
    of the batch, so that their results depend on the batch size (BirdSet issue 336).

    Args:
        n_fft: Length of a frame and of its FFT, in samples.
        hop_length: Samples from one frame to the next.
        n_mels: Number of mel bands.
        sample_rate: Sampling rate in Hz.
        top_db: Range in dB that is kept below the loudest value of a clip; ``None`` keeps all.
        mean: Mean of the raw spectrogram in dB; ``None`` leaves it to be fitted on training clips.
        std: Standard deviation of the raw spectrogram in dB; ``None`` leaves it to be fitted.
        subtract_median: Subtract the median over the clip from every band, so that steady noise, and
            the level and the colour of the recording, drop out.

    Raises:
        ValueError: If ``n_fft``, ``hop_length``, ``n_mels`` or ``top_db`` is not positive.
    """

    time_dim: ClassVar[int] = -1

    window: Tensor
    filterbank: Tensor

    def __init__(
        self,
        n_fft: int,
        hop_length: int,
        n_mels: int,
        sample_rate: int = 32000,
        top_db: float | None = 80.0,
        mean: float | None = None,
        std: float | None = None,
        subtract_median: bool = False,
    ) -> None:
        super().__init__(sample_rate, mean, std)
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.top_db = top_db
        self.subtract_median = subtract_median
        for name, value in self.settings.items():
            if value is not None and value is not False and not float(value) > 0:
                raise ValueError(f"The front end needs a positive {name}, not {value}.")
        self.hop = float(hop_length)
        filterbank = melscale_fbanks(n_fft // 2 + 1, 0.0, sample_rate / 2, n_mels, sample_rate)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        # Contiguous after the transposition, which the matrix product wants in every forward pass.
        self.register_buffer("filterbank", filterbank.T.contiguous(), persistent=False)

    @property
    def settings(self) -> dict[str, Setting]:
        """Everything that changes the raw spectrogram; the key of every cache of it."""
        settings: dict[str, Setting] = {
            "sample_rate": self.sample_rate,
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
            "n_mels": self.n_mels,
            "top_db": self.top_db,
        }
        # Caches that were made before there was this setting stay valid.
        return settings | ({"subtract_median": True} if self.subtract_median else {})

    def num_frames(self, num_samples: int) -> int:
        """Number of frames that ``num_samples`` samples give: one more than there are full hops."""
        return 1 + (num_samples - self.n_fft % 2) // self.hop_length

    def analyse(self, waveform: Tensor) -> Tensor:
        """Compute the raw, not yet standardised spectrogram.

        Args:
            waveform: Clips, shape (batch, time), full scale 1.

        Returns:
            Spectrograms in dB, shape (batch, ``n_mels``, frames).

        Raises:
            ValueError: If the clips are too short to be reflected at their ends.
        """
        return self.from_power(self.power(waveform))

    def power(self, waveform: Tensor) -> Tensor:
        """Linear power spectrogram, shape (batch, ``n_fft`` // 2 + 1, frames).

        Args:
            waveform: Clips, shape (batch, time), full scale 1.

        Raises:
            ValueError: If the clips are too short to be reflected at their ends.
        """
        if waveform.shape[-1] <= self.n_fft // 2:
            raise ValueError(
                f"A clip of {waveform.shape[-1]} samples is too short for n_fft={self.n_fft}: "
                f"pad it to more than {self.n_fft // 2} samples or choose a smaller n_fft."
            )
        spectrum = torch.stft(
            waveform, self.n_fft, self.hop_length, window=self.window, return_complex=True
        )
        # Without the root of the absolute value the gradient is exact everywhere, silence included.
        return spectrum.real.square() + spectrum.imag.square()

    def from_power(self, power: Tensor) -> Tensor:
        """Raw spectrogram in dB of a linear power spectrogram, shape (batch, ``n_mels``, frames).

        Args:
            power: What ``power`` gives, shape (batch, ``n_fft`` // 2 + 1, frames).
        """
        raw = self._limit(10 * torch.log10((self.filterbank @ power).clamp(min=MIN_POWER)))
        return raw - raw.median(-1, keepdim=True).values if self.subtract_median else raw

    def _limit(self, decibels: Tensor) -> Tensor:
        if self.top_db is None:
            return decibels
        loudest = decibels.amax(dim=(-2, -1), keepdim=True)
        return torch.maximum(decibels, loudest - self.top_db)


class BirdSetLogMel(LogMel):
    """Front end of the ConvNeXt models of BirdSet: 128 bands, 5 s give 501 frames.

    Constants of Rauch et al., "BirdSet" (ICLR 2025); one z-unit is 4.569 dB.

    Args:
        top_db: Range in dB that is kept below the loudest value of a clip; ``None`` keeps all.
        mean: Mean of the raw spectrogram in dB; ``None`` leaves it to be fitted on training clips.
        std: Standard deviation of the raw spectrogram in dB; ``None`` leaves it to be fitted.
    """

    def __init__(
        self,
        top_db: float | None = 80.0,
        mean: float | None = -4.268,
        std: float | None = 4.569,
    ) -> None:
        super().__init__(1024, 320, 128, sample_rate=32000, top_db=top_db, mean=mean, std=std)


class AudioProtoPNetLogMel(LogMel):
    """Front end of AudioProtoPNet and of the ConvNeXt beside it: 256 bands, 5 s give 626 frames.

    Constants of Heinrich et al., "AudioProtoPNet" (2025); one z-unit is 13.162 dB.

    Args:
        top_db: Range in dB that is kept below the loudest value of a clip; ``None`` keeps all.
        mean: Mean of the raw spectrogram in dB; ``None`` leaves it to be fitted on training clips.
        std: Standard deviation of the raw spectrogram in dB; ``None`` leaves it to be fitted.
    """

    def __init__(
        self,
        top_db: float | None = 80.0,
        mean: float | None = -13.369,
        std: float | None = 13.162,
    ) -> None:
        super().__init__(2048, 256, 256, sample_rate=32000, top_db=top_db, mean=mean, std=std)
