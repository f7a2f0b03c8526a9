"""Clips in files, each of one class that stands in a table: ESC-50 and everything laid out like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.paths import expand_path
from steadyear.datamodules.sources.audio_files import AudioFiles, Normalize, files_of_clips
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.tables.ratings import RatingTable
from steadyear.datamodules.tables.splits import Splits, named_splits, random_splits


class LabelledAudio(AudioDataModule):
    """Clips of one class each; the target is the number of the class, shape (batch,), int64.

    Paths may hold ``~`` and environment variables.

    Args:
        audio_dir: Folder of the audio files.
        table: The table: comma, semicolon or tab separated, one row per clip.
        label_column: Column of the classes' names.
        id_column: Column of the clip ids.
        file_pattern: File of a clip in ``audio_dir``.
        classes: Names of the classes in the order of their numbers; ``None`` takes all that occur,
            in alphabetical order.
        split: Shares of training, validation and test.
        split_seed: Seed of the split, apart from that of the run: all runs share one split.
        split_column: Column that says which part a clip belongs to, instead of a random split.
        split_values: Values of that column by part, for data with folds, such as ``{train: ["1",
            "2", "3"], val: ["4"], test: ["5"]}``; ``None`` stands for ``train``, ``val`` and
            ``test`` themselves.
        normalize: ``peak`` scales every clip to a peak of 1, ``int16_peak`` the same in steps of 16
            bits, ``none`` keeps its level.
        trim: Whether digital silence is cut at both ends.
        minimum_seconds: Clips shorter than this cannot be used.
        **kwargs: Arguments of ``AudioDataModule``.

    Raises:
        FileNotFoundError: If there is no such table or folder.
        ValueError: If a path, column or value in the table is not usable.
    """

    def __init__(
        self,
        audio_dir: str,
        table: str,
        label_column: str,
        id_column: str = "filename",
        file_pattern: str = "{id}",
        classes: list[str] | None = None,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 42,
        split_column: str | None = None,
        split_values: dict[str, list[str]] | None = None,
        normalize: Normalize = "peak",
        trim: bool = False,
        minimum_seconds: float = 0.1,
        **kwargs: Any,
    ) -> None:
        rows = RatingTable(expand_path(table), id_column)
        files = files_of_clips(expand_path(audio_dir), file_pattern, rows.ids)
        labels = rows.text(label_column)
        names = sorted(set(labels)) if classes is None else list(classes)
        if unknown := sorted(set(labels) - set(names)):
            raise ValueError(
                f"Column {label_column!r} of {rows.path} holds labels that are not in classes: "
                f"{', '.join(unknown[:10])}."
            )
        clips = RatedClips(
            AudioFiles(files, rows.ids, normalize, trim, minimum_seconds),
            torch.tensor([names.index(label) for label in labels]),
            names,
        )
        super().__init__(clips=clips, **kwargs)
        self.split = split
        self.split_seed = split_seed
        self._named: Splits | None = None
        if split_column:
            where = f"column {split_column!r} of {rows.path}"
            self._named = _splits(rows.text(split_column), split_values, where)

    def split_clips(self) -> Splits:
        """Split by ``split_column`` or at random; see the base class."""
        return self._named or random_splits(len(self.clip_ids), self.split, self.split_seed)


def _splits(values: Sequence[str], parts: Mapping[str, Sequence[str]] | None, where: str) -> Splits:
    if parts is None:
        return named_splits(values, where)
    if unknown := sorted(set(parts) - set(Splits._fields)):
        raise ValueError(f"split_values may have the keys train, val and test, not {unknown}.")
    part_of = {value: part for part, known in parts.items() for value in known}
    if missing := sorted(set(values) - part_of.keys()):
        raise ValueError(f"split_values gives no part to {missing[:10]} in {where}.")
    return named_splits([part_of[value] for value in values], where)
