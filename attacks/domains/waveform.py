"""Audio within its full scale."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.domains.base import Domain


class WaveformDomain(Domain):
    """The waveforms that a model is given, within what a sound file can hold.

    Args:
        full_scale: Largest allowed absolute value of a sample. Decoded Ogg Vorbis can exceed 1.

    Raises:
        ValueError: If the full scale is not above 0.
    """

    name = "waveform"

    def __init__(self, full_scale: float = 1.0) -> None:
        if not full_scale > 0:
            raise ValueError(f"The full scale of audio is above 0, not {full_scale}.")
        self.bounds = (-full_scale, full_scale)

    def start(self, x: Tensor) -> Tensor:
        """The clips themselves, shape (batch, time).

        Args:
            x: Waveforms, shape (batch, time).

        Raises:
            ValueError: If they are no waveforms.
        """
        return waveforms(x, self)

    def render(self, point: Tensor, x: Tensor) -> Tensor:
        """The point itself.

        Args:
            point: Waveforms, shape (batch, time).
            x: Clean waveforms, shape (batch, time).
        """
        return point


def waveforms(x: Tensor, domain: Domain) -> Tensor:
    """The input of a model, if it is waveforms.

    Args:
        x: Input of a model.
        domain: Who asks.

    Raises:
        ValueError: If it has another shape than (batch, time).
    """
    if x.ndim != 2:
        raise ValueError(
            f"{type(domain).__name__} is for models that are given waveforms (batch, time), not "
            f"{tuple(x.shape)}: let the data module stream waveforms (data.stream: waveform)."
        )
    return x
