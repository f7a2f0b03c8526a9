"""Clips that are synthesised, in parts of given sizes."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np

from steadyear.datamodules.sources.base import AudioSource
from steadyear.datamodules.tables.splits import Splits
from steadyear.foundation.random_streams import numpy_generator


class SyntheticSource(AudioSource):
    """Clip i of a part depends on the seed, the part and i alone.

    Args:
        num_clips: Clips for training, validation and test.
        data_seed: Seed of all clips.
    """

    def __init__(self, num_clips: tuple[int, int, int], data_seed: int) -> None:
        self.data_seed = data_seed
        self.places = [(part, i) for part, count in enumerate(num_clips) for i in range(count)]
        self.clip_ids = [f"{Splits._fields[part]}-{i:05d}" for part, i in self.places]
        bounds = pairwise((0, *accumulate(num_clips)))
        self.splits = Splits(*(list(range(start, end)) for start, end in bounds))

    def is_test(self, clip: int) -> bool:
        """Whether a clip is one of the test."""
        return Splits._fields[self.places[clip][0]] == "test"

    def rng(self, clip: int, purpose: int) -> np.random.Generator:
        """Random numbers of a clip; each purpose draws from a stream of its own."""
        return numpy_generator(self.data_seed, *self.places[clip], purpose)
