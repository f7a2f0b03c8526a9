"""What all data modules share: caches, splits, excerpts and loaders."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader

from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.paths import default_cache_dir, expand_path
from steadyear.datamodules.sampler import EpochSampler
from steadyear.datamodules.sources.base import AudioProblemError
from steadyear.datamodules.sources.cache import ClipCache, SpectrogramCache, WaveformCache
from steadyear.datamodules.sources.clips import ClipDataset, ExcerptRule, RatedClips, collate
from steadyear.datamodules.sources.scaling import mean_and_std
from steadyear.datamodules.tables.splits import Splits
from steadyear.datamodules.transforms.concept_noise import ConceptNoise
from steadyear.lightning_modules.frontends.base import Frontend

Loader = DataLoader[AudioBatch]

DEFAULT_SAMPLE_RATE = 22050
LISTED_PROBLEMS = 20


class AudioDataModule(LightningDataModule, ABC):
    """Streams excerpts of clips as spectrograms, waveforms or both.

    Spectrograms are computed once for whole clips, cached on disk and cut afterwards, so at its
    two ends an excerpt can differ from the spectrogram of the excerpt of the waveform. If the
    front end has no statistics yet, ``setup`` fits them on the training clips. Training excerpts
    start at random, by seed, epoch and clip; all others are central. Studies that cut every clip
    once have ``fixed_excerpt_seed``. A clip that is shorter than the excerpt is repeated from its
    start.

    Args:
        clips: The clips and their ratings.
        frontend: What computes spectrograms; ``None`` takes that of the model being trained.
        stream: What the batches hold.
        excerpt_seconds: Length of an excerpt in seconds; ``None`` keeps whole clips.
        random_excerpt: Whether training excerpts start at random, elsewhere in every epoch.
        fixed_excerpt_seed: Seed of one random excerpt per clip, in every epoch and every part,
            instead of random and central ones; ``None`` goes by ``random_excerpt``.
        statistics: Clips on which a front end is fitted: those for training (``train``), or those
            of all parts (``all``), as some published studies did.
        batch_size: Clips in a batch.
        num_workers: Processes that load batches.
        seed: Seed of the order and of the excerpts; ``None`` takes the seed of the run.
        cache_dir: Folder of caches; ``None`` takes the environment variable ``STEADYEAR_CACHE``,
            and without it ``.cache/steadyear`` in the working directory.
        on_bad_file: Whether clips that cannot be used are an error, or are left out with a warning.
        concept_noise: Makes the concept labels of training clips wrong. Validation and test clips
            keep their true labels, so a model that is selected on validation clips is selected by
            the truth.

    Raises:
        ValueError: If a setting is out of its range, or noise is asked for where there are no
            concepts.
    """

    def __init__(
        self,
        clips: RatedClips,
        *,
        frontend: Frontend | None = None,
        stream: Literal["spectrogram", "waveform", "both"] = "spectrogram",
        excerpt_seconds: float | None = 10.0,
        random_excerpt: bool = True,
        fixed_excerpt_seed: int | None = None,
        statistics: Literal["train", "all"] = "train",
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int | None = None,
        cache_dir: str | None = None,
        on_bad_file: Literal["error", "skip"] = "error",
        concept_noise: ConceptNoise | None = None,
    ) -> None:
        super().__init__()
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        if seed < 0 or batch_size < 1 or (excerpt_seconds is not None and excerpt_seconds <= 0):
            raise ValueError("seed must be >= 0, batch_size >= 1 and excerpt_seconds > 0.")
        if fixed_excerpt_seed is not None and fixed_excerpt_seed < 0:
            raise ValueError(f"fixed_excerpt_seed must be >= 0, not {fixed_excerpt_seed}.")
        if concept_noise is not None and clips.concepts is None:
            raise ValueError("concept_noise needs data with concepts, and these clips have none.")
        self.clips = clips
        self.frontend = frontend
        self.stream = stream
        self.excerpt_seconds = excerpt_seconds
        self.random_excerpt = random_excerpt
        self.fixed_excerpt_seed = fixed_excerpt_seed
        self.statistics = statistics
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.cache_dir = expand_path(cache_dir) if cache_dir else default_cache_dir()
        self.on_bad_file = on_bad_file
        self.concept_noise = concept_noise
        self.splits: Splits | None = None
        self._spectrograms: SpectrogramCache | None = None
        self._waveforms: WaveformCache | None = None

    @property
    def clip_ids(self) -> list[str]:
        """Name of every clip; a batch's ``index`` is a position in this list."""
        return self.clips.source.clip_ids

    @property
    def target_names(self) -> list[str]:
        """Names of the targets."""
        return self.clips.target_names

    @property
    def concept_names(self) -> list[str]:
        """Names of the concepts; empty without concepts."""
        return self.clips.concept_names

    @property
    def label_deviation(self) -> float:
        """Standard deviation of the training labels over clips, mean over the outputs.

        What the guess of the mean errs by (root mean square): the natural tolerance of ratings.
        """
        labels = self.clips.targets[self._ready_splits().train]
        return float(labels.std(0, correction=0).mean())

    @abstractmethod
    def split_clips(self) -> Splits:
        """Divide clips into training, validation and test; clips of no part are never loaded."""

    def prepare_data(self) -> None:
        """Check all clips and fill the caches; Lightning calls it in one process only."""
        self._fill_caches()

    def setup(self, stage: str) -> None:
        """Open the caches, split, and fit the front end's statistics if it has none.

        Args:
            stage: What the Trainer is about to do; every stage needs the same.

        Raises:
            ValueError: If clips cannot be used, or no front end is known.
        """
        self.splits = self.split_clips().without(set(self._fill_caches()))
        frontend = self._find_frontend()
        if frontend is not None and not bool(frontend.fitted):
            assert self._spectrograms is not None
            clips = self._clips_to_fit(self.splits)
            if clips:
                frontend.fit(*mean_and_std(self._spectrograms, clips))
            elif stage == "fit":  # elsewhere a checkpoint may bring them, which comes after setup
                raise ValueError("The front end has no statistics and there is no training clip.")

    def train_dataloader(self) -> Loader:
        """Shuffled training clips; a last incomplete batch is left out."""
        dataset = self._dataset(self._part("train"), random=self.random_excerpt)
        dataset.clips = self._training_clips()
        # Only when another batch remains: a tiny data set must still train.
        processes = 1 if self.trainer is None else self.trainer.world_size
        drop_last = len(dataset) > self.batch_size * processes
        return self._loader(dataset, EpochSampler(len(dataset), self.seed), drop_last)

    def val_dataloader(self) -> Loader | list[Loader]:
        """All validation clips in order; no loader if the split has none."""
        positions = self._ready_splits().val
        return self._loader(self._dataset(positions)) if positions else []

    def test_dataloader(self) -> Loader:
        """All test clips in order."""
        return self._loader(self._dataset(self._part("test")))

    def predict_dataloader(self) -> Loader:
        """All test clips in order."""
        return self.test_dataloader()

    def _training_clips(self) -> RatedClips:
        concepts, noise = self.clips.concepts, self.concept_noise
        if noise is None or concepts is None:
            return self.clips
        altered = noise.apply(concepts, self._part("train"), self.clip_ids, self.seed)
        return replace(self.clips, concepts=altered)

    def _find_frontend(self) -> Frontend | None:
        module = self.trainer.lightning_module if self.trainer is not None else None
        frontend = self.frontend if self.frontend is not None else getattr(module, "frontend", None)
        if isinstance(frontend, Frontend):
            return frontend
        if self.stream == "waveform":
            return None
        raise ValueError(
            "Spectrograms need a front end: give the data module's frontend, train a model that "
            "has an attribute frontend, or stream waveforms."
        )

    def _fill_caches(self) -> dict[int, AudioProblemError]:
        """Fill the caches; return the clips that are left out."""
        frontend = self._find_frontend()
        source, splits = self.clips.source, self.split_clips()
        rate = DEFAULT_SAMPLE_RATE if frontend is None else frontend.sample_rate
        wanted: list[tuple[ClipCache, Sequence[int]]] = []
        if self.stream != "spectrogram":
            self._waveforms = WaveformCache(source, self.cache_dir, rate)
            wanted.append((self._waveforms, splits.clips))
        if frontend is not None:
            self._spectrograms = SpectrogramCache(source, self.cache_dir, frontend)
            if self.stream != "waveform":
                wanted.append((self._spectrograms, splits.clips))
            elif not bool(frontend.fitted):
                wanted.append((self._spectrograms, self._clips_to_fit(splits)))
        bad: dict[int, AudioProblemError] = {}
        for cache, clips in wanted:
            bad |= cache.build([clip for clip in clips if clip not in bad])
        self._report(bad)
        return bad

    def _clips_to_fit(self, splits: Splits) -> list[int]:
        return splits.clips if self.statistics == "all" else splits.train

    def _report(self, bad: dict[int, AudioProblemError]) -> None:
        if not bad:
            return
        lines = [f"  {bad[clip]}" for clip in sorted(bad)][:LISTED_PROBLEMS]
        if len(bad) > LISTED_PROBLEMS:
            lines.append(f"  ... and {len(bad) - LISTED_PROBLEMS} more")
        what = f"{len(bad)} of {len(self.clip_ids)} clips cannot be used"
        listing = "\n".join(lines)
        if self.on_bad_file == "skip":
            rank_zero_warn(f"{what} and are left out:\n{listing}")
        else:
            cure = "Repair or remove them, or leave them out with on_bad_file: skip."
            raise ValueError(f"{what}:\n{listing}\n{cure}")

    def _ready_splits(self) -> Splits:
        if self.splits is None:
            raise RuntimeError("Call setup before asking for a dataloader.")
        return self.splits

    def _part(self, name: Literal["train", "test"]) -> list[int]:
        positions: list[int] = getattr(self._ready_splits(), name)
        if not positions:
            raise ValueError(f"The split leaves no {name} clip of {len(self.clip_ids)}.")
        return positions

    def _dataset(self, positions: list[int], random: bool = False) -> ClipDataset:
        # Read here and not in setup: by now a checkpoint has brought its own statistics.
        frontend = self._find_frontend()
        if frontend is not None and not bool(frontend.fitted):
            raise ValueError(
                "The front end has no statistics, and there is no training clip to fit them on: "
                "load a checkpoint, or give the front end's mean and std."
            )
        cached = None if self._spectrograms is None else self._spectrograms.frontend
        rate = DEFAULT_SAMPLE_RATE if frontend is None else frontend.sample_rate
        fixed = self.fixed_excerpt_seed
        rule = ExcerptRule(self.excerpt_seconds, rate, cached, self.seed, random, fixed)
        return ClipDataset(
            self.clips,
            positions,
            rule,
            self._spectrograms if self.stream != "waveform" else None,
            self._waveforms,
            mean=0.0 if frontend is None else float(frontend.mean),
            std=1.0 if frontend is None else float(frontend.std),
        )

    def _loader(
        self, dataset: ClipDataset, sampler: EpochSampler | None = None, drop_last: bool = False
    ) -> Loader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
            # Without its own generator a loader draws from the global one at every epoch.
            generator=torch.Generator().manual_seed(self.seed),
        )
