"""Music in files, rated in a table: Soundtracks, Emotify and everything laid out like them."""

from __future__ import annotations

from typing import Any

from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.paths import expand_path
from steadyear.datamodules.sources.audio_files import AudioFiles, Normalize, files_of_clips
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.tables.ratings import RatingTable
from steadyear.datamodules.tables.splits import Splits, named_splits, random_splits


class RatedMusic(AudioDataModule):
    """Clips in files and their mean ratings in a table.

    Paths may hold ``~`` and environment variables. The random split covers all rows of the table,
    so a clip that is left out does not move the others; ``clip_ids`` lists all rows, too.

    Args:
        audio_dir: Folder of the audio files.
        ratings: The table: comma, semicolon or tab separated, one row per clip.
        target_columns: Columns of the ratings to be predicted.
        id_column: Column of the clip ids; ids are text and keep leading zeros.
        concept_columns: Columns of mid-level features, if the table has them.
        file_pattern: File of a clip in ``audio_dir``; ``{id:0>3}`` pads ids with zeros.
        target_scale: The ratings are divided by it.
        concept_scale: The mid-level features are divided by it.
        split: Shares of training, validation and test.
        split_seed: Seed of the split, apart from that of the run: all runs share one split.
        split_column: Column that says ``train``, ``val`` or ``test``, instead of a random split.
        normalize: ``peak`` scales every clip to a peak of 1, ``int16_peak`` the same in steps of 16
            bits, ``none`` keeps its level.
        trim: Whether digital silence is cut at both ends.
        minimum_seconds: Clips shorter than this cannot be used.
        **kwargs: Arguments of ``AudioDataModule``.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If a path, column or value in the table is not usable.
    """

    def __init__(
        self,
        audio_dir: str,
        ratings: str,
        target_columns: list[str],
        id_column: str = "number",
        concept_columns: list[str] | None = None,
        file_pattern: str = "{id}.ogg",
        target_scale: float = 1.0,
        concept_scale: float = 1.0,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 42,
        split_column: str | None = None,
        normalize: Normalize = "peak",
        trim: bool = True,
        minimum_seconds: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if not target_columns:
            raise ValueError("target_columns must name at least one column of ratings.")
        table = RatingTable(expand_path(ratings), id_column)
        files = files_of_clips(expand_path(audio_dir), file_pattern, table.ids)
        concepts = concept_columns or []
        clips = RatedClips(
            AudioFiles(files, table.ids, normalize, trim, minimum_seconds),
            table.numbers(target_columns, target_scale),
            list(target_columns),
            table.numbers(concepts, concept_scale) if concepts else None,
            list(concepts),
        )
        super().__init__(clips=clips, **kwargs)
        self.split = split
        self.split_seed = split_seed
        where = f"column {split_column!r} of {table.path}"
        self._named = named_splits(table.text(split_column), where) if split_column else None

    def split_clips(self) -> Splits:
        """Split by ``split_column`` or at random; see the base class."""
        return self._named or random_splits(len(self.clip_ids), self.split, self.split_seed)
