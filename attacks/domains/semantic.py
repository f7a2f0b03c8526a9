"""Boxes of transformations that leave the meaning of a sound alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from steadyear.attacks.domains.base import Domain
from steadyear.attacks.domains.transformations import Transformation
from steadyear.attacks.domains.waveform import waveforms


class SemanticBox(Domain):
    """Parameters of a chain of transformations, each parameter from -1 to 1; 0 is the clean clip.

    With the ball ``Linf`` the budget, at most 1, is the share of the box that an attack may use. The
    transformations are applied in the given order. Samples may exceed full scale: nothing is
    clipped, which is a transformation of its own.

    Args:
        transformations: What is done to the clips, one after the other.
        sample_rate: Sampling rate of the waveforms in Hz.

    Raises:
        ValueError: If there is no transformation, or the sampling rate is not above 0.
    """

    name = "semantic"
    bounds = (-1.0, 1.0)

    def __init__(self, transformations: Sequence[Transformation], sample_rate: int) -> None:
        if not transformations or sample_rate <= 0:
            raise ValueError(
                "SemanticBox needs a transformation and a sampling rate above 0, not "
                f"{list(transformations)} at {sample_rate} Hz."
            )
        self.transformations = list(transformations)
        self.sample_rate = sample_rate

    @property
    def parameters(self) -> list[str]:
        """What each value of a point stands for."""
        return [name for change in self.transformations for name in change.parameters]

    def for_model(self, model: Callable[[Tensor], Any]) -> SemanticBox:
        """This domain; checks the sampling rate of a model that has a front end.

        Args:
            model: The model under attack.

        Raises:
            ValueError: If the model's front end expects another sampling rate.
        """
        expected = getattr(getattr(model, "frontend", None), "sample_rate", self.sample_rate)
        if expected != self.sample_rate:
            raise ValueError(
                f"The model's front end expects {expected} Hz, and the SemanticBox has "
                f"{self.sample_rate} Hz: set its sample_rate to {expected}."
            )
        return self

    def start(self, x: Tensor) -> Tensor:
        """Zeros, shape (batch, parameters), in fp32, or fp64 for fp64 clips.

        Args:
            x: Waveforms, shape (batch, time).

        Raises:
            ValueError: If they are no waveforms.
        """
        # In half precision neighbouring parameters would be the same.
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        return x.new_zeros((len(waveforms(x, self)), len(self.parameters)), dtype=dtype)

    def render(self, point: Tensor, x: Tensor) -> Tensor:
        """Transformed waveforms, shape (batch, time), of the type of ``x``.

        Args:
            point: Parameters, shape (batch, parameters).
            x: Clean waveforms, shape (batch, time).
        """
        sound, first = x.to(point.dtype), 0
        for change in self.transformations:
            last = first + len(change.parameters)
            sound = change(sound, point[:, first:last], self.sample_rate)
            first = last
        return sound.to(x.dtype)
