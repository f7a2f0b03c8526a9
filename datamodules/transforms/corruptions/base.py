"""What every corruption promises: five severities, the same length, numbers of its own generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadyear.foundation.random_streams import numpy_generator

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]
Level = TypeVar("Level")

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(ABC, Generic[Level]):
    """Damage as it happens in the field, in five severities.

    A corruption is a function of the clip, the sampling rate, the severity and the state of the
    generator, and of nothing else: it touches no global generator. A generator in the same state
    gives all severities the same random numbers: the same gusts, only louder. Silence stays silent.
    Values may leave [-1, 1]: what happens to them then is the corruption ``Clipping``.

    Attributes:
        name: What tables call it.
        levels: What severities 1 to 5 mean, from mild to strong; the class says in which unit.
    """

    name: ClassVar[str]
    levels: tuple[Level, Level, Level, Level, Level]

    def __call__(
        self, waveform: Tensor, sample_rate: int, severity: int, generator: torch.Generator
    ) -> Tensor:
        """Corrupt one clip.

        Args:
            waveform: The clip, shape (time,), full scale 1.
            sample_rate: Its sampling rate in Hz.
            severity: From 1, mild, to 5, strong.
            generator: Where random numbers come from, on the CPU.

        Returns:
            The corrupted clip, shape (time,), float32, on the CPU.

        Raises:
            ValueError: If the clip has another shape, or there is no such severity.
        """
        if waveform.ndim != 1 or len(waveform) == 0:
            raise ValueError(
                f"{self.name} corrupts one clip of shape (time,), not {tuple(waveform.shape)}."
            )
        if severity not in SEVERITIES:
            raise ValueError(f"{self.name} has the severities 1 to 5, not {severity}.")
        rng = numpy_generator(int(torch.randint(2**62, (), generator=generator)))
        samples = np.array(waveform.detach().cpu().numpy(), np.float32)
        changed = self.corrupt(samples, sample_rate, self.levels[severity - 1], rng)
        corrupted = np.zeros(len(samples), np.float32)
        kept = changed[: len(samples)]
        corrupted[: len(kept)] = kept
        return torch.from_numpy(corrupted)

    @abstractmethod
    def corrupt(
        self, samples: Samples, sample_rate: int, level: Level, rng: np.random.Generator
    ) -> Samples | Floats:
        """Corrupt samples; a result of another length is cut, or filled with zeros.

        Args:
            samples: One clip, shape (time,).
            sample_rate: Its sampling rate in Hz.
            level: One of ``levels``.
            rng: Random numbers of the clip.
        """
