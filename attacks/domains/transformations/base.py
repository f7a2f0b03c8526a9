"""What every transformation promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


class Transformation(ABC):
    """A change of sounds that keeps their length, clip by clip; parameters of 0 change nothing."""

    parameters: ClassVar[tuple[str, ...]]
    """Names of the parameters, each of which goes from -1 to 1."""

    @abstractmethod
    def __call__(self, waveform: Tensor, values: Tensor, sample_rate: int) -> Tensor:
        """Transformed clips, shape (batch, time), differentiable in clips and parameters.

        Args:
            waveform: Clips, shape (batch, time), in fp32 or fp64.
            values: Parameters of each clip, shape (batch, parameters).
            sample_rate: Sampling rate in Hz.
        """


def amount(values: Tensor) -> Tensor:
    """Size of parameters whose sign means nothing.

    Unlike ``abs`` it has a slope of 1 at 0, so that an attack can leave the clean clip.

    Args:
        values: Parameters from -1 to 1.
    """
    return torch.where(values < 0, -values, values)


def positive(owner: Transformation, name: str, value: float) -> float:
    """The setting ``name`` of ``owner``, checked.

    Raises:
        ValueError: If it is not above 0.
    """
    if not value > 0:
        raise ValueError(f"{name} of {type(owner).__name__} is above 0, not {value}.")
    return value
