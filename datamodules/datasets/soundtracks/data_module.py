"""The film music of the MER bottleneck study: eight emotions and seven mid-level concepts."""

from __future__ import annotations

from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_warn

from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.datasets.soundtracks.layout import NUM_CLIPS, SoundtracksLayout
from steadyear.datamodules.datasets.soundtracks.tables import (
    CONCEPTS,
    EMOTIONS,
    read_concepts,
    read_emotions,
)
from steadyear.datamodules.paths import expand_path
from steadyear.datamodules.sources.audio_files import AudioFiles
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.tables.splits import Splits, random_splits

SHARES = (0.8, 0.1, 0.1)
SPLIT_SEED = 42
MINIMUM_SECONDS = 1.0


class SoundtracksDataModule(AudioDataModule):
    """The 360 clips of Soundtracks set 1 with their emotions and mid-level concepts.

    Eerola and Vuoskoski (2011) published the clips and eight mean ratings, Aljanaki and Soleymani
    (2018) seven mid-level features of the same clips; both are divided by 10. The files lie under
    one folder as published: ``Set1/NNN.mp3``, ``mean_ratings_set1.csv``, and
    ``metadata_annotations`` with ``annotations.csv`` and ``metadata.csv``.

    Split, signals and excerpts follow Hoedt, Flexer and Widmer, "Are Inherently Interpretable
    Models More Robust? A Study in Music Emotion Recognition" (SMC 2025) and its code: 288, 36 and
    36 clips for every run; 16-bit signals scaled to their peak and trimmed of zeros; one excerpt
    of 10 s per clip in all parts; statistics of the whole trimmed clips, all 360 of them. Their
    validation left out the last incomplete batch; here it sees every clip.

    Args:
        root: Folder of the two data sets; may hold ``~`` and environment variables.
        midlevel_metadata: Table that stands in for ``metadata.csv``: a file in
            ``metadata_annotations``, or a path. ``None`` takes ``metadata.csv``, or if that is not
            there the only other ``metadata*.csv``, with a warning.
        allow_missing: Whether to go on, with a warning, where clips are missing. Each clip stays
            in its part of the full split.
        fixed_excerpt_seed: Seed of the one excerpt per clip, the study's by default; ``None``
            takes random excerpts for training and central ones elsewhere.
        statistics: Clips on which a front end is fitted: ``all``, as in the study, or ``train``.
        **kwargs: Arguments of ``AudioDataModule``.

    Raises:
        FileNotFoundError: If tables or clips are missing; the message lists them all.
        ValueError: If tables disagree or have missing values.
    """

    def __init__(
        self,
        root: str,
        midlevel_metadata: str | None = None,
        allow_missing: bool = False,
        fixed_excerpt_seed: int | None = 42,
        statistics: Literal["train", "all"] = "all",
        **kwargs: Any,
    ) -> None:
        layout = SoundtracksLayout(expand_path(root), midlevel_metadata)
        layout.check(allow_missing)
        clips = RatedClips(
            AudioFiles(
                layout.audio,
                [path.stem for path in layout.audio],
                normalize="int16_peak",
                trim=True,
                minimum_seconds=MINIMUM_SECONDS,
            ),
            read_emotions(layout.ratings, NUM_CLIPS),
            list(EMOTIONS),
            read_concepts(layout.annotations, layout.metadata, NUM_CLIPS),
            list(CONCEPTS),
        )
        super().__init__(
            clips=clips, fixed_excerpt_seed=fixed_excerpt_seed, statistics=statistics, **kwargs
        )
        self.allow_missing = allow_missing
        self._absent = set(range(NUM_CLIPS)) - set(layout.present_clips())
        if self._absent:
            self._warn_of_missing()

    def split_clips(self) -> Splits:
        """Return the study's split, without missing clips; see the base class."""
        return random_splits(NUM_CLIPS, SHARES, SPLIT_SEED).without(self._absent)

    def _warn_of_missing(self) -> None:
        full = random_splits(NUM_CLIPS, SHARES, SPLIT_SEED)
        parts = zip(Splits._fields, self.split_clips(), full, strict=True)
        counts = ", ".join(f"{name} {len(here)} of {len(whole)}" for name, here, whole in parts)
        rank_zero_warn(
            f"Soundtracks: {len(self._absent)} of {NUM_CLIPS} clips are missing and left out "
            f"(allow_missing); there are: {counts}. Results cannot be compared with those of all "
            "clips; a part without clips cannot be used."
        )
