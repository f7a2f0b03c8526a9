"""What every front end promises: a differentiable map from waveforms to standardised spectrograms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

Setting = str | int | float | bool | None


def check_waveform(waveform: Tensor) -> None:
    """Refuse waveforms that would give a wrong spectrogram or an obscure error.

    Args:
        waveform: Clips, expected as shape (batch, time), full scale 1.

    Raises:
        ValueError: If the shape is another one, the clips are empty, or not floating point.
    """
    if waveform.ndim != 2 or waveform.shape[1] == 0:
        raise ValueError(
            f"A front end expects waveforms of shape (batch, time), not {tuple(waveform.shape)}: "
            "mix channels down, and add a batch dimension to a single clip."
        )
    if not waveform.is_floating_point():
        raise ValueError(
            f"A front end expects floating-point waveforms of full scale 1, not {waveform.dtype}: "
            "divide integer samples by the maximum of their type."
        )


class Frontend(nn.Module, ABC):
    """A differentiable spectrogram, computed in fp32, clip by clip.

    A clip gives the same values alone or in a batch, so nothing here may look across clips. The
    spectrogram is standardised with one mean and one standard deviation: published constants, or
    values that a data module fits once on its training clips. Both live in buffers, so that a
    checkpoint carries them and a model keeps its own scale on other data.

    Args:
        sample_rate: Sampling rate in Hz of the waveforms that the front end expects.
        mean: Mean of the raw spectrogram; ``None`` leaves it to be fitted on training clips.
        std: Standard deviation of the raw spectrogram; ``None`` leaves it to be fitted.

    Raises:
        ValueError: If only one of ``mean`` and ``std`` is given, or ``std`` is not positive.
    """

    time_dim: ClassVar[int]
    """Dimension of the network input, counted from the end, along which time runs."""

    hop: float
    """Samples from one frame to the next; may be fractional."""

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(
        self, sample_rate: int, mean: float | None = None, std: float | None = None
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError("Give both mean and std of the front end, or neither.")
        self.sample_rate = sample_rate
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("fitted", torch.tensor(False))
        if mean is not None and std is not None:
            self.fit(mean, std)

    @property
    @abstractmethod
    def settings(self) -> dict[str, Setting]:
        """Everything that changes the raw spectrogram; the key of every cache of it."""

    @abstractmethod
    def analyse(self, waveform: Tensor) -> Tensor:
        """Compute the raw, not yet standardised spectrogram.

        Args:
            waveform: Clips, shape (batch, time), full scale 1.

        Returns:
            Spectrograms, shape (batch, height, width), time along ``time_dim``.
        """

    @abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Number of frames that ``num_samples`` samples give."""

    def fit(self, mean: float, std: float) -> None:
        """Set the statistics that one z-unit stands for.

        Args:
            mean: Mean of the raw spectrogram over the training clips.
            std: Its standard deviation.

        Raises:
            ValueError: If ``std`` is not positive.
        """
        if not std > 0:
            raise ValueError(f"The front end needs a positive standard deviation, not {std}.")
        self.mean.fill_(mean)
        self.std.fill_(std)
        self.fitted.fill_(True)

    def standardize(self, spectrogram: Tensor) -> Tensor:
        """Turn a raw spectrogram into z-units."""
        return (spectrogram - self.mean) / self.std

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the network input.

        Args:
            waveform: Clips, shape (batch, time), full scale 1.

        Returns:
            Standardised spectrograms in z-units, shape (batch, 1, height, width), in the precision
            of the buffers: fp32, or fp64 after ``double()``.

        Raises:
            ValueError: If the waveforms are not (batch, time) or not floating point.
        """
        check_waveform(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            return self.standardize(self.analyse(waveform.to(self.mean.dtype))).unsqueeze(1)
