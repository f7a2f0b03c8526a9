"""What every data module shares: settings, the front end, and loaders."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.sampler import EpochSampler
from steadyear.datamodules.sources.bird_clips import BirdDataset
from steadyear.datamodules.sources.clips import ClipDataset
from steadyear.datamodules.tables.splits import Splits
from steadyear.foundation.random_streams import torch_generator
from steadyear.lightning_modules.frontends.base import Frontend

Loader = DataLoader[AudioBatch]
Part = Literal["train", "val", "test"]
Stream = Literal["spectrogram", "waveform", "both"]

LISTED_PROBLEMS = 20


class BaseDataModule(LightningDataModule, ABC):
    """Loaders of the three parts of a data set, keyed by seed and epoch.

    Args:
        stream: What the batches hold.
        frontend: What computes spectrograms, as a rule that of the model: the command line fills it
            in, in Python it is ``module.frontend``. It is read and never changed here; the module
            fits its statistics on ``spectrograms_to_fit``.
        batch_size: Clips in a batch.
        num_workers: Processes that load batches.
        seed: Seed of all random numbers of training data; ``None`` takes the seed of the run.
        on_bad_file: Whether clips or recordings that cannot be used are an error, or are left out
            with a warning.

    Raises:
        ValueError: If a setting is out of its range.
    """

    default_sample_rate: ClassVar[int]
    """Sampling rate in Hz of waveforms where there is no front end."""

    splits: Splits | None
    """Positions of the usable clips of each part, after ``setup``."""

    def __init__(
        self,
        *,
        stream: Stream = "spectrogram",
        frontend: Frontend | None = None,
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int | None = None,
        on_bad_file: Literal["error", "skip"] = "error",
    ) -> None:
        super().__init__()
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        if seed < 0 or num_workers < 0 or batch_size < 1:
            raise ValueError("seed and num_workers must be >= 0, and batch_size >= 1.")
        self.stream = stream
        self.frontend = frontend
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.on_bad_file = on_bad_file
        self.splits = None

    @property
    @abstractmethod
    def clip_ids(self) -> list[str]:
        """Name of every clip; a batch's ``index`` is a position in this list."""

    @property
    @abstractmethod
    def target_names(self) -> list[str]:
        """Names of the targets, in their order."""

    @abstractmethod
    def _dataset(self, part: Part, training: bool = False) -> ClipDataset | BirdDataset:
        """Clips of a part; ``training`` asks for what only training batches get."""

    @abstractmethod
    def spectrograms_to_fit(self) -> Iterable[npt.NDArray[Any]]:
        """Raw spectrograms of training clips, one by one, for the scale of a front end.

        Raises:
            ValueError: If there is no front end.
        """

    def train_dataloader(self) -> Loader:
        """Shuffled training clips; a last incomplete batch is left out."""
        dataset = self._dataset("train", training=True)
        # Only when another batch remains: a tiny data set must still train.
        processes = 1 if self.trainer is None else self.trainer.world_size
        drop_last = len(dataset) > self.batch_size * processes
        return self._loader(dataset, EpochSampler(len(dataset), self.seed), drop_last)

    def val_dataloader(self) -> Loader | list[Loader]:
        """All validation clips in order; no loader if the split has none."""
        return self._loader(self._dataset("val")) if self._ready_splits().val else []

    def test_dataloader(self) -> Loader:
        """All test clips in order."""
        return self._loader(self._dataset("test"))

    def predict_dataloader(self) -> Loader:
        """All test clips in order."""
        return self.test_dataloader()

    def _needs_frontend(self) -> bool:
        return self.stream != "waveform"

    def _optional_frontend(self) -> Frontend | None:
        """The front end; ``None`` where only waveforms are streamed and none is given."""
        return self._required_frontend() if self._needs_frontend() else self.frontend

    def _required_frontend(self) -> Frontend:
        if self.frontend is None:
            raise ValueError(
                "Spectrograms need a front end: give the data module's frontend, which is as a rule "
                "that of the model, or stream waveforms."
            )
        return self.frontend

    def _sample_rate(self) -> int:
        frontend = self._optional_frontend()
        return self.default_sample_rate if frontend is None else frontend.sample_rate

    def _ready_splits(self) -> Splits:
        if self.splits is None:
            raise RuntimeError("Call setup first: it finds the clips.")
        return self.splits

    def _positions(self, part: Part) -> list[int]:
        positions: list[int] = getattr(self._ready_splits(), part)
        if not positions:
            raise ValueError(
                f"There is no {part} clip among {len(self.clip_ids)}: change the split, or ask "
                "for another part at this stage."
            )
        return positions

    def _loader(
        self,
        dataset: ClipDataset | BirdDataset,
        sampler: EpochSampler | None = None,
        drop_last: bool = False,
    ) -> Loader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=dataset.collate,
            # Without its own generator a loader draws from the global one at every epoch.
            generator=torch_generator(self.seed),
        )
