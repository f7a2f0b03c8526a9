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
from steadyear.datamodules.sources.base import AudioSource
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.tables.splits import Splits

SECONDS = 5.0
VERSION = 1
"""Goes into the cache key; to be raised with every change of what clips sound like."""

MOST_SINGERS = 3
_WHO, _SOUND = range(2)


class SyntheticBirdClips(AudioSource):
    """Five-second recordings; clip i of a part depends on the seed, the part and i alone.

    Args:
        num_clips: Clips for training, validation and test.
        data_seed: Seed of all clips.
    """

    def __init__(self, num_clips: tuple[int, int, int], data_seed: int) -> None:
        self.data_seed = data_seed
        self.places = [(part, i) for part, count in enumerate(num_clips) for i in range(count)]
        self.clip_ids = [f"{Splits._fields[part]}-{i:05d}" for part, i in self.places]

    def singers(self, clip: int) -> list[Species]:
        """Who is heard: one species in training and validation, none to three in the test."""
        part, i = self.places[clip]
        if Splits._fields[part] != "test":
            return [SPECIES[i % len(SPECIES)]]
        rng = self._rng(clip, _WHO)
        chosen = rng.permutation(len(SPECIES))[: int(rng.integers(0, MOST_SINGERS + 1))]
        return [SPECIES[species] for species in chosen]

    def labels(self, clip: int) -> Tensor:
        """Multi-hot labels, shape (species,)."""
        singers = self.singers(clip)
        return torch.tensor([float(species in singers) for species in SPECIES])

    def identity(self, clip: int) -> str:
        """Return what the sound depends on; see the base class."""
        part, i = self.places[clip]
        return f"synthetic birds {VERSION}|{self.data_seed}|{part}|{i}"

    def load(self, clip: int, sample_rate: int) -> Tensor:
        """Synthesise a clip; see the base class."""
        part, _ = self.places[clip]
        rng, singers = self._rng(clip, _SOUND), self.singers(clip)
        if Splits._fields[part] == "test":
            samples = soundscape(singers, rng, sample_rate, SECONDS)
        else:
            samples = focal(singers[0], rng, sample_rate, SECONDS)
        return torch.from_numpy(samples.astype(np.float32))

    def _rng(self, clip: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.data_seed, *self.places[clip], purpose))


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

    def split_clips(self) -> Splits:
        """Return the three parts, made to measure; see the base class."""
        places = self.clips.source.clip_ids
        return Splits(
            *(
                [i for i, name in enumerate(places) if name.startswith(part)]
                for part in Splits._fields
            )
        )
