"""The order of training clips, a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from steadyear.foundation.random_streams import numpy_generator


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffles clips and tells the dataset the epoch, by yielding pairs (epoch, position).

    The epoch travels with each position, so workers that live through all epochs need no news of
    it. Lightning calls ``set_epoch`` before every epoch, also after resuming and through its
    wrapper for several processes. The global random state is neither used nor changed.

    Args:
        num_clips: Number of clips.
        seed: Seed of the order.
    """

    def __init__(self, num_clips: int, seed: int) -> None:
        self.num_clips = num_clips
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of clips."""
        return self.num_clips

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (epoch, position) in the order of the current epoch."""
        order = numpy_generator(self.seed, self.epoch).permutation(self.num_clips)
        return ((self.epoch, int(position)) for position in order)
