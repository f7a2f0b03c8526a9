"""Windows of bird recordings, read when they are needed: clips, spectrograms, augmentation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from steadyear.datamodules.bases.base import LISTED_PROBLEMS, BaseDataModule, Loader, Part
from steadyear.datamodules.bases.spectrograms import (
    SpectrogramAugmentation,
    augmented_spectrogram,
)
from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.sources.bird_clips import (
    BatchAugmentation,
    BirdClips,
    BirdDataset,
    batch_generator,
)
from steadyear.datamodules.sources.windows import WindowRule
from steadyear.datamodules.tables.splits import Splits
from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.frontends.statistics import require_statistics

FITTED_CLIPS = 500
"""Training clips on which a front end without statistics is fitted."""

SPECTROGRAM_NUMBERS = 1
"""Keeps the random numbers of spectrograms apart from those of waveforms."""

Stage = Literal["fit", "validate", "test", "predict"]


class StageClips(NamedTuple):
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


class BirdDataModule(BaseDataModule):
    """Streams windows of recordings as waveforms, spectrograms or both, with multi-hot targets.

    Windows are read by seeking when they are needed: nothing is cached. Training windows lie at
    random around their event, anew in every epoch; all others are fixed. Spectrograms are
    computed by the front end on the device of the model, after the batch has come there.
    ``waveform_augmentation`` changes training batches in the loading processes;
    ``spectrogram_augmentation`` changes training spectrograms between the Fourier transform and
    the mel filters. All random numbers are functions of the seed, the epoch and the clips.

    Args:
        window_seconds: Length of a window in seconds.
        extension_seconds: Length in seconds to which events are extended before the window is cut.
        waveform_augmentation: Changes training batches of waveforms and their targets.
        spectrogram_augmentation: Changes linear power spectrograms of training batches.
        batch_size: Clips in a batch.
        **kwargs: Arguments of ``BaseDataModule``.

    Raises:
        ValueError: If a setting is out of its range.
    """

    default_sample_rate: ClassVar[int] = 32000

    def __init__(
        self,
        *,
        window_seconds: float = 5.0,
        extension_seconds: float = 8.0,
        waveform_augmentation: BatchAugmentation | None = None,
        spectrogram_augmentation: SpectrogramAugmentation | None = None,
        batch_size: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        self.rule = WindowRule(window_seconds, extension_seconds)
        self.waveform_augmentation = waveform_augmentation
        self.spectrogram_augmentation = spectrogram_augmentation
        self._parts: StageClips | None = None

    @abstractmethod
    def find_clips(self, stage: Stage) -> StageClips:
        """Find the clips of a stage; those for training and validation if it is ``fit``.

        Args:
            stage: What the Trainer is about to do.
        """

    @property
    def clip_ids(self) -> list[str]:
        """Name of every clip; a batch's ``index`` is a position in this list."""
        return self._ready().clips.ids

    def setup(self, stage: str) -> None:
        """Find the clips.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            FileNotFoundError: If files of the data set are missing.
            ValueError: If recordings cannot be used, or no front end is known.
        """
        assert stage in ("fit", "validate", "test", "predict"), stage
        parts = self.find_clips(stage)  # type: ignore[arg-type]
        self.splits = parts.splits.without(self._missing(parts))
        self._parts = parts

    def spectrograms_to_fit(self) -> Iterable[npt.NDArray[Any]]:
        """Raw spectrograms of at most ``FITTED_CLIPS`` clips, spread over the training clips.

        Raises:
            ValueError: If there is no front end.
        """
        frontend, clips = self._required_frontend(), self._dataset("train")
        count = min(len(clips), FITTED_CLIPS)
        for position in np.linspace(0, len(clips) - 1, count).astype(int).tolist():
            item = clips.item(position)
            if item is not None:
                with torch.no_grad():
                    waveform = item["waveform"][None].to(frontend.mean)
                    yield frontend.analyse(waveform)[0].cpu().numpy()

    def push_dataloader(self) -> Loader:
        """Training clips in order, without augmentation, for prototypes to be found in."""
        return self._loader(self._dataset("train"))

    def on_after_batch_transfer(self, batch: AudioBatch, dataloader_idx: int) -> AudioBatch:
        """Compute spectrograms on the device, with augmentation while training.

        Args:
            batch: Waveforms and targets.
            dataloader_idx: Number of the loader.

        Raises:
            ValueError: If the front end has no statistics, or no steps for the augmentation.
        """
        frontend = self._optional_frontend()
        if self.stream == "waveform" or frontend is None:
            return batch
        require_statistics(frontend)
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

    def _needs_frontend(self) -> bool:
        # Without a Trainer nobody computes spectrograms.
        return super()._needs_frontend() and self.trainer is not None

    def _missing(self, parts: StageClips) -> set[int]:
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

    def _ready(self) -> StageClips:
        if self._parts is None:
            raise RuntimeError("Call setup first: it finds the clips.")
        return self._parts

    def _dataset(self, part: Part, training: bool = False) -> BirdDataset:
        parts = self._ready()
        return BirdDataset(
            parts.clips,
            self._positions(part),
            parts.paths,
            self.rule,
            self._sample_rate(),
            len(self.target_names),
            seed=self.seed,
            random=part == "train",
            first=parts.first,
            augmentation=self.waveform_augmentation if training else None,
            skip_bad=self.on_bad_file == "skip",
        )
