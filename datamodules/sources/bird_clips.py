"""Windows of recordings and the species that occur in them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.sources.base import AudioProblemError
from steadyear.datamodules.sources.windows import WindowRule, read_window
from steadyear.foundation.random_streams import numpy_generator, seed_of_batch, torch_generator

Floats = npt.NDArray[np.float64]


class BatchAugmentation(Protocol):
    """Changes a training batch of waveforms, and may change its targets."""

    def __call__(self, batch: AudioBatch, generator: torch.Generator) -> AudioBatch:
        """Augment a batch.

        Args:
            batch: Waveforms (batch, time), multi-hot targets and indices.
            generator: Random numbers of the batch, on the CPU.
        """


@dataclass(frozen=True)
class BirdClips:
    """Clips: each is a part of a recording, with its species.

    Args:
        ids: Name of each clip, unique and stable.
        recordings: Recording that each clip is a part of.
        starts: Start of each clip in seconds.
        ends: End of each clip in seconds; infinite for the end of the recording.
        moving: Whether the window may move around the clip (an event), or is the clip itself.
        labels: Positions of the species in the class list; none if there is no bird.
    """

    ids: list[str]
    recordings: list[str]
    starts: Floats
    ends: Floats
    moving: npt.NDArray[np.bool_]
    labels: list[tuple[int, ...]]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.ids)

    def __add__(self, other: BirdClips) -> BirdClips:
        """Return these clips with others behind them."""
        return BirdClips(
            self.ids + other.ids,
            self.recordings + other.recordings,
            np.concatenate([self.starts, other.starts]),
            np.concatenate([self.ends, other.ends]),
            np.concatenate([self.moving, other.moving]),
            self.labels + other.labels,
        )

    def target(self, clip: int, num_classes: int) -> Tensor:
        """Return which species occur, shape (num_classes,), float32.

        Args:
            clip: Position of the clip.
            num_classes: Length of the class list.
        """
        target = torch.zeros(num_classes)
        target[list(self.labels[clip])] = 1.0
        return target


class BirdDataset(Dataset[AudioBatch]):
    """Windows of one part of a data set, read when they are asked for.

    Positions may come with an epoch, see ``EpochSampler``. Whole batches are made here, so that
    what mixes clips of a batch runs in the loading processes. Every random number is a function of
    the seed, the epoch and the clips: the number of loading processes changes nothing.

    Args:
        clips: All clips.
        positions: Those of this part.
        paths: File of each recording.
        rule: How windows are placed.
        sample_rate: Sampling rate in Hz of the waveforms.
        num_classes: Length of the class list.
        seed: Seed of random windows and of the augmentation.
        random: Whether windows move at random around events; otherwise they are central.
        first: Position of the first clip that random numbers count from.
        augmentation: Changes batches.
        skip_bad: Whether clips that cannot be read are left out of their batch with a warning.
    """

    def __init__(
        self,
        clips: BirdClips,
        positions: Sequence[int],
        paths: Mapping[str, Path],
        rule: WindowRule,
        sample_rate: int,
        num_classes: int,
        *,
        seed: int = 0,
        random: bool = False,
        first: int = 0,
        augmentation: BatchAugmentation | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.clips = clips
        self.positions = positions
        self.paths = paths
        self.rule = rule
        self.sample_rate = sample_rate
        self.num_classes = num_classes
        self.seed = seed
        self.random = random
        self.first = first
        self.augmentation = augmentation
        self.skip_bad = skip_bad

    def __len__(self) -> int:
        """Number of clips of this part."""
        return len(self.positions)

    def __getitem__(self, key: int | tuple[int, int]) -> AudioBatch:
        """Return one clip, without augmentation.

        Args:
            key: Position in this part, or (epoch, position).

        Raises:
            AudioProblemError: If the clip cannot be read.
        """
        epoch, position = key if isinstance(key, tuple) else (0, key)
        clip = self.positions[position]
        return {
            "waveform": self._window(clip, epoch),
            "target": self.clips.target(clip, self.num_classes),
            "index": torch.tensor(clip),
        }

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> AudioBatch:
        """Return a batch, with augmentation; loaders call this instead of single clips.

        Args:
            keys: Positions in this part, or pairs (epoch, position).

        Raises:
            AudioProblemError: If a clip, or with ``skip_bad`` each of them, cannot be read.
        """
        items = [item for key in keys if (item := self.item(key)) is not None]
        if not items:
            raise AudioProblemError("all clips of a batch", "none can be read; see the warnings")
        batch: AudioBatch = default_collate(items)
        if self.augmentation is None:
            return batch
        epoch = keys[0][0] if isinstance(keys[0], tuple) else 0
        return self.augmentation(batch, batch_generator(self.seed, epoch, batch, self.first))

    def item(self, key: int | tuple[int, int]) -> AudioBatch | None:
        """Return one clip; with ``skip_bad``, nothing and a warning if it cannot be read.

        Args:
            key: Position in this part, or (epoch, position).

        Raises:
            AudioProblemError: If the clip cannot be read, without ``skip_bad``.
        """
        try:
            return self[key]
        except AudioProblemError as problem:
            if not self.skip_bad:
                raise AudioProblemError(
                    problem.name,
                    f"{problem.reason}. Repair it, or leave such clips out with on_bad_file: skip",
                ) from problem
            warnings.warn(f"left out of its batch: {problem}", stacklevel=2)
            return None

    @staticmethod
    def collate(batch: Any) -> Any:
        """Return the batch, whose clips ``__getitems__`` has stacked already."""
        return batch

    def _window(self, clip: int, epoch: int) -> Tensor:
        start, end = float(self.clips.starts[clip]), float(self.clips.ends[clip])

        def place(duration: float) -> tuple[float, float]:
            if not self.clips.moving[clip]:
                return self.rule.fixed(start, end)
            if not self.random:
                return self.rule.central(start, end, duration)
            draw = numpy_generator(self.seed, epoch, clip - self.first).random()
            return self.rule.random(start, end, duration, float(draw))

        path = self.paths[self.clips.recordings[clip]]
        return read_window(path, place, self.rule.seconds, self.sample_rate)


def batch_generator(
    seed: int, epoch: int, batch: AudioBatch, first: int = 0, purpose: int = 0
) -> torch.Generator:
    """Return random numbers that are a function of the seed, the epoch and a batch's clips.

    Args:
        seed: Seed of the data.
        epoch: Training epoch.
        batch: The batch, with its ``index``.
        first: Position of the first clip that random numbers count from.
        purpose: Another number gives other random numbers for the same batch.
    """
    clips = [int(clip) - first for clip in batch["index"].tolist()]
    return torch_generator(seed_of_batch(purpose, seed, epoch, *clips))
