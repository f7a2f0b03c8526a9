"""Clips that are cached whole and cut to excerpts: caches, splits and ratings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy.typing as npt
from lightning.pytorch.utilities import rank_zero_warn

from steadyear.datamodules.bases.base import LISTED_PROBLEMS, BaseDataModule, Part
from steadyear.datamodules.paths import default_cache_dir, expand_path
from steadyear.datamodules.sources.base import AudioProblemError
from steadyear.datamodules.sources.cache import ClipCache, SpectrogramCache, WaveformCache
from steadyear.datamodules.sources.clips import ClipDataset, ExcerptRule, RatedClips
from steadyear.datamodules.tables.splits import Splits
from steadyear.datamodules.transforms.concept_noise import ConceptNoise
from steadyear.lightning_modules.frontends.statistics import require_statistics


class AudioDataModule(BaseDataModule):
    """Streams excerpts of clips as spectrograms, waveforms or both.

    Spectrograms are computed once for whole clips, cached on disk and cut afterwards, so at its
    two ends an excerpt can differ from the spectrogram of the excerpt of the waveform. Training
    excerpts start at random, by seed, epoch and clip; all others are central. Studies that cut
    every clip once have ``fixed_excerpt_seed``. A clip that is shorter than the excerpt is repeated
    from its start.

    Args:
        clips: The clips and their ratings.
        excerpt_seconds: Length of an excerpt in seconds; ``None`` keeps whole clips.
        random_excerpt: Whether training excerpts start at random, anew in every epoch.
        fixed_excerpt_seed: Seed of one random excerpt per clip, in every epoch and every part,
            instead of random and central ones; ``None`` goes by ``random_excerpt``.
        statistics: Clips on which a front end is fitted: those for training (``train``), or those
            of all parts (``all``), as some published studies did.
        cache_dir: Folder of caches; ``None`` takes the environment variable ``STEADYEAR_CACHE``,
            and without it ``.cache/steadyear`` in the working directory.
        concept_noise: Makes the concept labels of training clips wrong. Validation and test clips
            keep their true labels, so a model that is selected on validation clips is selected by
            the truth.
        **kwargs: Arguments of ``BaseDataModule``.

    Raises:
        ValueError: If a setting is out of its range, or noise is asked for where there are no
            concepts.
    """

    default_sample_rate: ClassVar[int] = 22050

    def __init__(
        self,
        clips: RatedClips,
        *,
        excerpt_seconds: float | None = 10.0,
        random_excerpt: bool = True,
        fixed_excerpt_seed: int | None = None,
        statistics: Literal["train", "all"] = "train",
        cache_dir: str | None = None,
        concept_noise: ConceptNoise | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (fixed_excerpt_seed or 0) < 0 or (excerpt_seconds is not None and excerpt_seconds <= 0):
            raise ValueError("fixed_excerpt_seed must be >= 0, and excerpt_seconds > 0.")
        if concept_noise is not None and clips.concepts is None:
            raise ValueError("concept_noise needs data with concepts, and these clips have none.")
        self.clips = clips
        self.excerpt_seconds = excerpt_seconds
        self.random_excerpt = random_excerpt
        self.fixed_excerpt_seed = fixed_excerpt_seed
        self.statistics = statistics
        self.cache_dir = expand_path(cache_dir) if cache_dir else default_cache_dir()
        self.concept_noise = concept_noise
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
        """Open the caches and split.

        Args:
            stage: What the Trainer is about to do; every stage needs the same.

        Raises:
            ValueError: If clips cannot be used, or no front end is known.
        """
        self.splits = self.split_clips().without(set(self._fill_caches()))

    def spectrograms_to_fit(self) -> Iterable[npt.NDArray[Any]]:
        """Raw spectrograms of whole clips, those that ``statistics`` says.

        Raises:
            ValueError: If there is no front end.
        """
        self._required_frontend()
        assert self._spectrograms is not None, "setup opens the cache"
        return map(self._spectrograms.load, self._clips_to_fit(self._ready_splits()))

    def _training_clips(self) -> RatedClips:
        concepts, noise = self.clips.concepts, self.concept_noise
        if noise is None or concepts is None:
            return self.clips
        altered = noise.apply(concepts, self._positions("train"), self.clip_ids, self.seed)
        return replace(self.clips, concepts=altered)

    def _fill_caches(self) -> dict[int, AudioProblemError]:
        """Fill the caches; return the clips that are left out."""
        frontend = self._optional_frontend()
        source, splits = self.clips.source, self.split_clips()
        wanted: list[tuple[ClipCache, Sequence[int]]] = []
        if self.stream != "spectrogram":
            self._waveforms = WaveformCache(source, self.cache_dir, self._sample_rate())
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

    def _dataset(self, part: Part, training: bool = False) -> ClipDataset:
        positions = self._positions(part)
        # Read here and not in setup: by now a checkpoint has brought its own statistics.
        frontend = self._optional_frontend()
        if frontend is not None:
            require_statistics(frontend)
        cached = None if self._spectrograms is None else self._spectrograms.frontend
        rule = ExcerptRule(
            self.excerpt_seconds,
            self._sample_rate(),
            cached,
            self.seed,
            training and self.random_excerpt,
            self.fixed_excerpt_seed,
        )
        return ClipDataset(
            self._training_clips() if training else self.clips,
            positions,
            rule,
            self._spectrograms if self.stream != "waveform" else None,
            self._waveforms,
            mean=0.0 if frontend is None else float(frontend.mean),
            std=1.0 if frontend is None else float(frontend.std),
        )
