"""Several augmentations, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from steadyear.datamodules.batch import AudioBatch


class Chain:
    """Applies augmentations in order; all draw from the batch's own random numbers.

    Args:
        parts: Augmentations of batches.
    """

    def __init__(
        self, parts: Sequence[Callable[[AudioBatch, torch.Generator], AudioBatch]]
    ) -> None:
        self.parts = list(parts)

    def __call__(self, batch: AudioBatch, generator: torch.Generator) -> AudioBatch:
        """Augment a batch.

        Args:
            batch: Waveforms (batch, time) and multi-hot targets.
            generator: Random numbers of the batch.
        """
        for part in self.parts:
            batch = part(batch, generator)
        return batch
