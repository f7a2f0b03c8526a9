"""What all data sets of bird recordings share: loaders, windows, spectrograms, augmentation."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from steadyear.datamodules.bases.audio import LISTED_PROBLEMS, Loader
from steadyear.datamodules.bases.spectrograms import (
    SpectrogramAugmentation,
    augmented_spectrogram,
    fit_frontend,
)
from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.sampler import EpochSampler
from steadyear.datamodules.sources.bird_clips import (
    BatchAugmentation,
    BirdClips,
    BirdDataset,
    as_it_is,
    batch_generator,
)
from steadyear.datamodules.sources.windows import WindowRule
from steadyear.datamodules.tables.splits import Splits
from steadyear.lightning_modules.frontends.base import Frontend

SAMPLE_RATE = 32000
FITTED_CLIPS = 500
"""Training clips on which a front end without statistics is fitted."""

SPECTROGRAM_NUMBERS = 1
"""Keeps the random numbers of spectrograms apart from those of waveforms."""

Stage = Literal["fit", "validate", "test", "predict"]


class BirdParts(NamedTuple):
    """What a data set offers at one stage.

    Attributes:
        clips: All clips.
        splits: Those for training, validation and test; whole recordings each.
        paths: File of every recording that exists.
        first: Position of the first clip that random numbers count from; clips before it may be
            absent on another machine.
        cure: How missing recordings can be had.
    """

    clips: BirdClips
    splits: Splits
    paths: Mapping[str, Path]
    first: int = 0
    cure: str = "Put them there"


class BirdDataModule(LightningDataModule, ABC):
    """Streams windows of recordings as waveforms, spectrograms or both, with multi-hot targets.

    Windows are read by seeking when they are needed: nothing is cached. Training windows lie at
    random around their event, elsewhere in every epoch; all others are fixed. Spectrograms are
    computed by the front end on the device of the model, after the batch has come there.
    ``waveform_augmentation`` changes training batches in the loading processes;
    ``spectrogram_augmentation`` changes training spectrograms between the Fourier transform and
    the mel filters. All random numbers are functions of the seed, the epoch and the clips.

    Args:
        stream: What the batches hold.
        frontend: What computes spectrograms; ``None`` takes that of the model being trained.
        window_seconds: Length of a window in seconds.
        extension_seconds: Length in seconds to which events are extended before the window is cut.
        waveform_augmentation: Changes training batches of waveforms and their targets.
        spectrogram_augmentation: Changes linear power spectrograms of training batches.
        batch_size: Clips in a batch.
        num_workers: Processes that load batches.
        seed: Seed of order, windows and augmentation; ``None`` takes the seed of the run.
        on_bad_file: Whether recordings that cannot be used are an error, or are left out with a
            warning.

    Raises:
        ValueError: If a setting is out of its range.
    """

    def __init__(
        self,
        *,
        stream: Literal["spectrogram", "waveform", "both"] = "spectrogram",
        frontend: Frontend | None = None,
        window_seconds: float = 5.0,
        extension_seconds: float = 8.0,
        waveform_augmentation: BatchAugmentation | None = None,
        spectrogram_augmentation: SpectrogramAugmentation | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        on_bad_file: Literal["error", "skip"] = "error",
    ) -> None:
        super().__init__()
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        if seed < 0 or batch_size < 1 or num_workers < 0:
            raise ValueError("seed and num_workers must be >= 0, and batch_size >= 1.")
        self.rule = WindowRule(window_seconds, extension_seconds)
        self.stream = stream
        self.frontend = frontend
        self.waveform_augmentation = waveform_augmentation
        self.spectrogram_augmentation = spectrogram_augmentation
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.on_bad_file = on_bad_file
        self._parts: BirdParts | None = None

    @property
    @abstractmethod
    def target_names(self) -> list[str]:
        """Code of each class, in the order of the targets."""

    @abstractmethod
    def find_parts(self, stage: Stage) -> BirdParts:
        """Find the clips of a stage; those for training and validation if it is ``fit``.

        Args:
            stage: What the Trainer is about to do.
        """

    @property
    def clip_ids(self) -> list[str]:
        """Name of every clip; a batch's ``index`` is a position in this list."""
        return self._ready().clips.ids

    @property
    def splits(self) -> Splits | None:
        """Positions of the usable clips of each part, after ``setup``."""
        return None if self._parts is None else self._parts.splits

    def setup(self, stage: str) -> None:
        """Find the clips, and fit the front end's statistics if it has none.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            FileNotFoundError: If files of the data set are missing.
            ValueError: If recordings cannot be used, or no front end is known.
        """
        assert stage in ("fit", "validate", "test", "predict"), stage
        parts = self.find_parts(stage)  # type: ignore[arg-type]
        self._parts = parts._replace(splits=parts.splits.without(self._missing(parts)))
        frontend = self._find_frontend()
        if stage == "fit" and frontend is not None and not bool(frontend.fitted):
            fit_frontend(frontend, self._dataset("train"), FITTED_CLIPS)

    def train_dataloader(self) -> Loader:
        """Shuffled training clips; a last incomplete batch is left out."""
        dataset = self._dataset("train", training=True)
        # Only when another batch remains: a tiny data set must still train.
        processes = 1 if self.trainer is None else self.trainer.world_size
        drop_last = len(dataset) > self.batch_size * processes
        return self._loader(dataset, EpochSampler(len(dataset), self.seed), drop_last)

    def push_dataloader(self) -> Loader:
        """Training clips in order, without augmentation, for prototypes to be found in."""
        return self._loader(self._dataset("train"))

    def val_dataloader(self) -> Loader | list[Loader]:
        """All validation clips in order; no loader if the split has none."""
        return self._loader(self._dataset("val")) if self._ready().splits.val else []

    def test_dataloader(self) -> Loader:
        """All test clips in order."""
        return self._loader(self._dataset("test"))

    def predict_dataloader(self) -> Loader:
        """All test clips in order."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: AudioBatch, dataloader_idx: int) -> AudioBatch:
        """Compute spectrograms on the device, with augmentation while training.

        Args:
            batch: Waveforms and targets.
            dataloader_idx: Number of the loader.

        Raises:
            ValueError: If the front end has no statistics, or no steps for the augmentation.
        """
        frontend = self._find_frontend()
        if self.stream == "waveform" or frontend is None:
            return batch
        if not bool(frontend.fitted):
            raise ValueError(
                "The front end has no statistics: fit the model, load a checkpoint, or give the "
                "front end's mean and std."
            )
        result: AudioBatch = {**batch}
        waveform = batch["waveform"] if self.stream == "both" else result.pop("waveform")
        frontend = frontend.to(waveform.device)
        with torch.no_grad():
            result["spectrogram"] = self._spectrogram(frontend, waveform, batch)
        return result

    def _spectrogram(self, frontend: Frontend, waveform: Tensor, batch: AudioBatch) -> Tensor:
        trainer, augmentation = self.trainer, self.spectrogram_augmentation
        if augmentation is None or trainer is None or not trainer.training:
            spectrogram: Tensor = frontend(waveform)
            return spectrogram
        generator = batch_generator(
            self.seed, trainer.current_epoch, batch, self._ready().first, SPECTROGRAM_NUMBERS
        )
        return augmented_spectrogram(frontend, waveform, augmentation, generator)

    def _find_frontend(self) -> Frontend | None:
        module = self.trainer.lightning_module if self.trainer is not None else None
        frontend = self.frontend if self.frontend is not None else getattr(module, "frontend", None)
        if isinstance(frontend, Frontend):
            return frontend
        if self.stream == "waveform" or self.trainer is None:
            return None
        raise ValueError(
            "Spectrograms need a front end: give the data module's frontend, train a model that "
            "has an attribute frontend, or stream waveforms."
        )

    def _missing(self, parts: BirdParts) -> set[int]:
        clips = parts.clips.recordings
        missing = {clip for clip in parts.splits.clips if clips[clip] not in parts.paths}
        names = sorted({clips[clip] for clip in missing})
        if not names:
            return missing
        what = f"{len(names)} recordings are missing: {', '.join(names[:LISTED_PROBLEMS])}"
        if self.on_bad_file == "error":
            raise FileNotFoundError(
                f"{what}.\n{parts.cure}\nOr leave their clips out with on_bad_file: skip."
            )
        rank_zero_warn(f"{what}. Their {len(missing)} clips are left out.")
        return missing

    def _ready(self) -> BirdParts:
        if self._parts is None:
            raise RuntimeError("Call setup first: it finds the clips.")
        return self._parts

    def _dataset(
        self, part: Literal["train", "val", "test"], training: bool = False
    ) -> BirdDataset:
        parts, frontend = self._ready(), self._find_frontend()
        positions: list[int] = getattr(parts.splits, part)
        if not positions:
            raise ValueError(f"There is no {part} clip at this stage of the data set.")
        return BirdDataset(
            parts.clips,
            positions,
            parts.paths,
            self.rule,
            SAMPLE_RATE if frontend is None else frontend.sample_rate,
            len(self.target_names),
            seed=self.seed,
            random=part == "train",
            first=parts.first,
            augmentation=self.waveform_augmentation if training else None,
            skip_bad=self.on_bad_file == "skip",
        )

    def _loader(
        self, dataset: BirdDataset, sampler: EpochSampler | None = None, drop_last: bool = False
    ) -> Loader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=as_it_is,
            # Without its own generator a loader draws from the global one at every epoch.
            generator=torch.Generator().manual_seed(self.seed),
        )
