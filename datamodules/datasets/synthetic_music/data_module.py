"""Music that is made on first use, so that everything can be tried without a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.datasets.synthetic_music.emotions import (
    CONCEPTS,
    EMOTIONS,
    Floats,
    emotions_from_concepts,
)
from steadyear.datamodules.datasets.synthetic_music.synthesis import shortcut_tones, synthesize
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.sources.synthetic import SyntheticSource
from steadyear.datamodules.tables.splits import Splits

VERSION = 1
"""Goes into the cache key; to be raised with every change of what clips sound like."""

# Each purpose draws from a stream of its own: the music is the same with and without a shortcut.
_CONCEPTS, _NOTES, _RATERS, _OTHER_CLIP = range(4)


class SyntheticClips(SyntheticSource):
    """Clips of ten seconds.

    Args:
        num_clips: Clips for training, validation and test.
        data_seed: Seed of all clips.
        shortcut: Amplitude of the shortcut's tones; see ``SyntheticMusic``.
    """

    def __init__(self, num_clips: tuple[int, int, int], data_seed: int, shortcut: float) -> None:
        super().__init__(num_clips, data_seed)
        self.shortcut = shortcut

    def concepts(self, clip: int) -> Floats:
        """Return the seven concepts of a clip, each uniform in 0..1."""
        return self.rng(clip, _CONCEPTS).random(len(CONCEPTS))

    def ratings(self, clip: int, rater_noise: float) -> Floats:
        """Return the emotions of a clip as noisy raters report them."""
        noise = self.rng(clip, _RATERS).standard_normal(len(EMOTIONS))
        return emotions_from_concepts(self.concepts(clip)) + rater_noise * noise

    def identity(self, clip: int) -> str:
        """Return what the sound depends on; see the base class."""
        part, i = self.places[clip]
        return f"synthetic music {VERSION}|{self.data_seed}|{part}|{i}|{self.shortcut}"

    def load(self, clip: int, sample_rate: int) -> Tensor:
        """Synthesise a clip; see the base class."""
        samples = synthesize(self.concepts(clip), self.rng(clip, _NOTES), sample_rate)
        if self.shortcut:
            levels = self.shortcut * self._revealed_emotions(clip)
            samples = samples + shortcut_tones(levels, sample_rate)
        return torch.from_numpy(samples)

    def _revealed_emotions(self, clip: int) -> Floats:
        if not self.is_test(clip):
            return emotions_from_concepts(self.concepts(clip))
        return emotions_from_concepts(self.rng(clip, _OTHER_CLIP).random(len(CONCEPTS)))


class SyntheticMusic(AudioDataModule):
    """Synthetic clips with eight emotions as targets and seven mid-level concepts.

    Each concept is drawn uniformly and independently and is audible (``synthesis``); the
    emotions are a fixed function of them (``emotions``) plus Gaussian noise of the raters. The
    concept labels have no noise.

    With a shortcut, eight faint steady tones between 6 and 10 kHz give the emotions away in
    training and validation. In the test clips they follow the emotions of a made-up other clip:
    a model that has learned the shortcut instead of the music fails there.

    Args:
        num_clips: Clips for training, validation and test.
        data_seed: Seed of the clips; ``seed`` is that of order and excerpts.
        rater_noise: Standard deviation of the noise on the emotions.
        shortcut: Amplitude of a tone at emotion 1, full scale 1; 0 leaves the tones out.
        **kwargs: Arguments of ``AudioDataModule``.

    Raises:
        ValueError: If a setting is negative.
    """

    def __init__(
        self,
        num_clips: tuple[int, int, int] = (400, 50, 100),
        data_seed: int = 0,
        rater_noise: float = 0.02,
        shortcut: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if min(*num_clips, data_seed, rater_noise, shortcut) < 0:
            raise ValueError("num_clips, data_seed, rater_noise and shortcut must not be negative.")
        source = SyntheticClips(num_clips, data_seed, shortcut)
        everything = range(len(source))
        ratings = np.array([source.ratings(clip, rater_noise) for clip in everything])
        concepts = np.array([source.concepts(clip) for clip in everything])
        clips = RatedClips(
            source,
            torch.from_numpy(ratings).float(),
            list(EMOTIONS),
            torch.from_numpy(concepts).float(),
            list(CONCEPTS),
        )
        super().__init__(clips=clips, on_bad_file="error", **kwargs)
        self._parts = source.splits

    def split_clips(self) -> Splits:
        """Return the three parts; see the base class."""
        return self._parts
