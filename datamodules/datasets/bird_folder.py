"""A folder of recordings with a table, as the BirdCLEF competitions publish theirs."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from steadyear.datamodules.bases.birds import BirdDataModule, Stage, StageClips
from steadyear.datamodules.paths import expand_path
from steadyear.datamodules.sources.bird_clips import BirdClips
from steadyear.datamodules.tables.class_lists import label_positions, read_class_list
from steadyear.datamodules.tables.ratings import RatingTable
from steadyear.datamodules.tables.recording_splits import stratified_parts
from steadyear.datamodules.tables.splits import Splits


class BirdFolderDataModule(BirdDataModule):
    """Recordings in ``train_audio`` and their species in ``train_metadata.csv``.

    The table has one row per recording: ``filename`` (a path within the folder of recordings),
    ``primary_label``, and perhaps ``secondary_labels``, a list such as ``['comsan']``. Training
    windows lie anywhere in a recording, anew in every epoch; those of validation and test lie
    in its centre. Each species is divided into the three parts by the same shares.

    Args:
        root: Folder of the data set.
        audio_dir: Folder of the recordings, within ``root``.
        metadata: The table, within ``root``.
        label_space: JSON file with ``id2label`` that lists the classes; ``None`` lists the primary
            labels of the table in alphabetical order.
        secondary: Whether secondary labels are targets, too; those outside of the class list never.
        split: Shares of training, validation and test, in recordings.
        split_seed: Seed of the split, apart from that of the run: all runs share one split.
        **kwargs: Arguments of ``BirdDataModule``.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If a column or a value in the table is not usable.
    """

    def __init__(
        self,
        root: str,
        audio_dir: str = "train_audio",
        metadata: str = "train_metadata.csv",
        label_space: str | None = None,
        secondary: bool = False,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 42,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = expand_path(root)
        self.audio_dir = audio_dir
        self.label_space = label_space
        self.secondary = secondary
        self.split = split
        self.split_seed = split_seed
        self._table = RatingTable(self.root / metadata, "filename")
        self._primary = self._table.text("primary_label")

    @cached_property
    def target_names(self) -> list[str]:
        """Code of each class, in the order of the targets."""
        if self.label_space is not None:
            return read_class_list(expand_path(self.label_space))
        return sorted(set(self._primary))

    def find_clips(self, stage: Stage) -> StageClips:
        """Divide the recordings and find their files; see the base class."""
        names = self._table.ids
        clips = BirdClips(
            names,
            names,
            np.zeros(len(names)),
            np.full(len(names), np.inf),
            np.ones(len(names), bool),
            label_positions(self._labels(), self.target_names, str(self._table.path)),
        )
        sides = stratified_parts(
            dict(zip(names, self._primary, strict=True)), self.split, self.split_seed
        )
        parts = ([i for i, name in enumerate(names) if sides[name] == part] for part in range(3))
        paths: dict[str, Path] = {name: self.root / self.audio_dir / name for name in names}
        found = {name: path for name, path in paths.items() if path.is_file()}
        return StageClips(clips, Splits(*parts), found)

    def _labels(self) -> list[tuple[str, ...]]:
        primary: list[tuple[str, ...]] = [(code,) for code in self._primary]
        if not self.secondary:
            return primary
        known = set(self.target_names)
        lists = [_parse(self._table, text) for text in self._table.text("secondary_labels")]
        return [
            tuple(dict.fromkeys((*first, *(code for code in more if code in known))))
            for first, more in zip(primary, lists, strict=True)
        ]


def _parse(table: RatingTable, text: str) -> list[str]:
    try:
        labels = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError):
        labels = None
    if not isinstance(labels, list):
        raise ValueError(  # noqa: TRY004 - the value in the table is wrong
            f"{table.path}: secondary_labels must be lists such as \"['comsan']\", not {text!r}."
        )
    return [str(label) for label in labels]
