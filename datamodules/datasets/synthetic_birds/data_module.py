"""Birds that are made on first use: trained on close recordings, tested in the landscape."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.datasets.synthetic_birds.synthesis import (
    SPECIES,
    Species,
    focal,
    soundscape,
)
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.sources.synthetic import SyntheticSource
from steadyear.datamodules.tables.splits import Splits

SECONDS = 5.0
VERSION = 1
"""Goes into the cache key; to be raised with every change of what clips sound like."""

MOST_SPECIES = 3
_SPECIES, _SOUND = range(2)


class SyntheticBirdClips(SyntheticSource):
    """Recordings of five seconds."""

    def species(self, clip: int) -> list[Species]:
        """Species in a clip: one in training and validation, none to three in the test."""
        _, i = self.places[clip]
        if not self.is_test(clip):
            return [SPECIES[i % len(SPECIES)]]
        rng = self.rng(clip, _SPECIES)
        chosen = rng.permutation(len(SPECIES))[: int(rng.integers(0, MOST_SPECIES + 1))]
        return [SPECIES[species] for species in chosen]

    def labels(self, clip: int) -> Tensor:
        """Multi-hot labels, shape (species,)."""
        present = self.species(clip)
        return torch.tensor([float(species in present) for species in SPECIES])

    def identity(self, clip: int) -> str:
        """Return what the sound depends on; see the base class."""
        part, i = self.places[clip]
        return f"synthetic birds {VERSION}|{self.data_seed}|{part}|{i}"

    def load(self, clip: int, sample_rate: int) -> Tensor:
        """Synthesise a clip; see the base class."""
        rng, present = self.rng(clip, _SOUND), self.species(clip)
        if self.is_test(clip):
            samples = soundscape(present, rng, sample_rate, SECONDS)
        else:
            samples = focal(present[0], rng, sample_rate, SECONDS)
        return torch.from_numpy(samples.astype(np.float32))


class SyntheticBirds(AudioDataModule):
    """Eight made-up species, with the shift from focal recordings to soundscapes.

    Training and validation clips are close, clean recordings of one bird each, as on xeno-canto.
    Test clips are soundscapes: none to three species, farther away, with echoes, wind and insects,
    at signal-to-noise ratios from -3 to 9 dB. Clips last five seconds.

    Args:
        num_clips: Clips for training, validation and test.
        data_seed: Seed of the clips; ``seed`` is that of their order.
        **kwargs: Arguments of ``AudioDataModule``.

    Raises:
        ValueError: If a setting is negative.
    """

    def __init__(
        self,
        num_clips: tuple[int, int, int] = (480, 80, 160),
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if min(*num_clips, data_seed) < 0:
            raise ValueError("num_clips and data_seed must not be negative.")
        source = SyntheticBirdClips(num_clips, data_seed)
        targets = [source.labels(clip) for clip in range(len(source))]
        clips = RatedClips(source, torch.stack(targets), [species.name for species in SPECIES])
        super().__init__(clips=clips, excerpt_seconds=None, on_bad_file="error", **kwargs)
        self._parts = source.splits

    def split_clips(self) -> Splits:
        """Return the three parts; see the base class."""
        return self._parts
