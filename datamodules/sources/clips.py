"""The clips of one part of a data set, as the batches hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.sources.base import AudioSource
from steadyear.datamodules.sources.cache import FULL_SCALE, SpectrogramCache, WaveformCache
from steadyear.datamodules.sources.excerpts import central_start, cut, fixed_start, random_start
from steadyear.lightning_modules.frontends.base import Frontend


@dataclass(frozen=True)
class RatedClips:
    """Clips and their ratings or classes.

    Args:
        source: The clips.
        targets: Ratings to be predicted, shape (clips, num_targets), float32; or class numbers, shape
            (clips,), int64.
        target_names: Their names.
        concepts: Mid-level features, shape (clips, num_concepts), float32, if there are any.
        concept_names: Their names.
    """

    source: AudioSource
    targets: Tensor
    target_names: list[str]
    concepts: Tensor | None = None
    concept_names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExcerptRule:
    """How excerpts are cut.

    Args:
        seconds: Length of an excerpt; ``None`` keeps whole clips.
        sample_rate: Sampling rate in Hz.
        frontend: Its frames are the grid on which excerpts start; ``None`` counts samples.
        seed: Seed of random excerpts.
        random: Whether excerpts start at random, in every epoch elsewhere, instead of in the centre.
        fixed_seed: Seed of one random excerpt per clip, the same in every epoch, instead of both.
    """

    seconds: float | None
    sample_rate: int
    frontend: Frontend | None
    seed: int = 0
    random: bool = False
    fixed_seed: int | None = None

    @property
    def samples(self) -> int | None:
        """Samples of an excerpt."""
        return None if self.seconds is None else round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int | None:
        """Frames of an excerpt."""
        return None if self.samples is None else self.frames_of(self.samples)

    def frames_of(self, samples: int) -> int:
        """Return the number of frames that ``samples`` samples give."""
        return samples if self.frontend is None else self.frontend.num_frames(samples)

    def start(self, total: int, epoch: int, clip: int) -> int:
        """Return the first frame of an excerpt from a clip of ``total`` frames."""
        if self.frames is None:
            return 0
        if self.fixed_seed is not None:
            return fixed_start(total, self.frames, self.fixed_seed, clip)
        if self.random:
            return random_start(total, self.frames, self.seed, epoch, clip)
        return central_start(total, self.frames)

    def first_sample(self, frame: int) -> int:
        """Return the first sample of a frame; frames may be a fractional hop apart."""
        return frame if self.frontend is None else round(frame * self.frontend.hop)


class ClipDataset(Dataset[AudioBatch]):
    """Excerpts of clips; positions may come with an epoch, see ``EpochSampler``.

    Args:
        clips: All clips and ratings.
        positions: Those of this part.
        rule: How excerpts are cut.
        spectrograms: Streams spectrograms, if given.
        waveforms: Streams waveforms, if given.
        mean: Mean of the raw spectrogram that becomes 0.
        std: Standard deviation of the raw spectrogram that becomes 1.
    """

    def __init__(
        self,
        clips: RatedClips,
        positions: Sequence[int],
        rule: ExcerptRule,
        spectrograms: SpectrogramCache | None = None,
        waveforms: WaveformCache | None = None,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        self.clips = clips
        self.positions = positions
        self.rule = rule
        self.spectrograms = spectrograms
        self.waveforms = waveforms
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        """Number of clips of this part."""
        return len(self.positions)

    def __getitem__(self, key: int | tuple[int, int]) -> AudioBatch:
        """Return one excerpt.

        Args:
            key: Position in this part, or (epoch, position).
        """
        epoch, position = key if isinstance(key, tuple) else (0, key)
        clip = self.positions[position]
        start = self.rule.start(self._num_frames(clip), epoch, clip)
        item: AudioBatch = {"target": self.clips.targets[clip], "index": torch.tensor(clip)}
        if self.clips.concepts is not None:
            item["concepts"] = self.clips.concepts[clip]
        if self.spectrograms is not None:
            item["spectrogram"] = self._spectrogram(self.spectrograms, clip, start)
        if self.waveforms is not None:
            item["waveform"] = self._waveform(self.waveforms, clip, start)
        return item

    def _num_frames(self, clip: int) -> int:
        if self.spectrograms is not None:
            values = self.spectrograms.load(clip)
            return int(values.shape[self.spectrograms.frontend.time_dim])
        assert self.waveforms is not None
        return self.rule.frames_of(len(self.waveforms.load(clip)))

    def _spectrogram(self, cache: SpectrogramCache, clip: int, start: int) -> Tensor:
        values = cache.load(clip)
        dim = cache.frontend.time_dim
        excerpt = cut(values, start, self.rule.frames or values.shape[dim], dim)
        return torch.from_numpy(excerpt)[None].sub_(self.mean).div_(self.std)

    def _waveform(self, cache: WaveformCache, clip: int, start: int) -> Tensor:
        values = cache.load(clip)
        first = self.rule.first_sample(start)
        excerpt = cut(values, first, self.rule.samples or len(values))
        return torch.from_numpy(excerpt.astype(np.float32) / FULL_SCALE)

    @staticmethod
    def collate(items: list[AudioBatch]) -> AudioBatch:
        """Stack excerpts to a batch.

        Raises:
            ValueError: If they differ in length.
        """
        try:
            batch: AudioBatch = default_collate(items)
        except RuntimeError as error:
            raise ValueError(
                "Whole clips of different lengths do not fit into one batch; "
                "give excerpt_seconds, or set batch_size to 1."
            ) from error
        return batch
