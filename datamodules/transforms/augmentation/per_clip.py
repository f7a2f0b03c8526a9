"""Transforms of audiomentations, clip by clip."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from steadyear.datamodules.batch import AudioBatch

Samples = npt.NDArray[np.float32]


class PerClip:
    """Applies a transform of audiomentations to every clip of a batch.

    The transform's own ``p`` decides for each clip whether it is applied. audiomentations draws from
    the global generators of Python and NumPy: they are seeded for each clip, from the batch's random
    numbers, and put back.

    Args:
        transform: Such as ``audiomentations.Gain``.
        sample_rate: Sampling rate of the waveforms in Hz.
    """

    def __init__(
        self, transform: Callable[[Samples, int], Samples], sample_rate: int = 32000
    ) -> None:
        self.transform = transform
        self.sample_rate = sample_rate

    def __call__(self, batch: AudioBatch, generator: torch.Generator) -> AudioBatch:
        """Augment every clip of a batch.

        Args:
            batch: Waveforms (batch, time).
            generator: Random numbers of the batch.
        """
        waveform = batch["waveform"]
        seeds = torch.randint(2**31, (len(waveform),), generator=generator).tolist()
        clips = []
        for clip, seed in zip(waveform.numpy(), seeds, strict=True):
            with _seeded(seed):
                changed = np.asarray(self.transform(clip, self.sample_rate), np.float32)
            clips.append(torch.from_numpy(changed.copy()))
        return {**batch, "waveform": torch.stack(clips)}


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
