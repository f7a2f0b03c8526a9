"""Front ends taken apart, for what happens between the Fourier transform and the mel filters."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from steadyear.lightning_modules.frontends.base import Frontend, check_waveform


class SpectrogramAugmentation(Protocol):
    """Changes the linear power spectrograms of a training batch."""

    # It returns a Tensor; but jsonargparse takes a protocol that says so for a maker of Tensors.
    def __call__(self, power: Tensor, generator: torch.Generator) -> Any:
        """Augment a batch.

        Args:
            power: Linear power spectrograms, shape (batch, frequencies, frames).
            generator: Random numbers of the batch, on the CPU.
        """


@runtime_checkable
class PowerSteps(Protocol):
    """A front end whose ``analyse(waveform)`` is ``from_power(power(waveform))``."""

    def power(self, waveform: Tensor) -> Tensor:
        """Linear power spectrogram, shape (batch, frequencies, frames)."""

    def from_power(self, power: Tensor) -> Tensor:
        """Raw spectrogram of a linear power spectrogram."""


def augmented_spectrogram(
    frontend: Frontend,
    waveform: Tensor,
    augmentation: SpectrogramAugmentation,
    generator: torch.Generator,
) -> Tensor:
    """Compute the network input, with a change of the linear power spectrogram on the way.

    Args:
        frontend: A front end with the steps ``power`` and ``from_power``.
        waveform: Clips, shape (batch, time), full scale 1.
        augmentation: Changes the linear power spectrograms.
        generator: Its random numbers.

    Returns:
        Spectrograms in z-units, shape (batch, 1, height, width).

    Raises:
        ValueError: If the front end does not have these steps.
    """
    if not isinstance(frontend, PowerSteps):
        raise ValueError(  # noqa: TRY004 - a setting that does not fit another
            f"{type(frontend).__name__} has no linear power spectrogram that could be augmented: "
            "use a mel front end such as BirdSetLogMel, or no spectrogram_augmentation."
        )
    check_waveform(waveform)
    with torch.autocast(waveform.device.type, enabled=False):
        power = frontend.power(waveform.to(frontend.mean.dtype))
        return frontend.standardize(frontend.from_power(augmentation(power, generator))).unsqueeze(
            1
        )
