"""Where BirdSet's published files lie, and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

BirdSetSplit = Literal["train", "test", "test_5s"]

SHARDS: dict[str, dict[BirdSetSplit, int]] = {
    "PER": {"train": 11, "test": 3, "test_5s": 1},
    "NES": {"train": 13, "test": 8, "test_5s": 1},
    "UHH": {"train": 5, "test": 7, "test_5s": 1},
    "HSN": {"train": 7, "test": 3, "test_5s": 1},
    "NBP": {"train": 32, "test": 1, "test_5s": 1},
    "POW": {"train": 9, "test": 3, "test_5s": 1},
    "SSW": {"train": 29, "test": 36, "test_5s": 4},
    "SNE": {"train": 21, "test": 5, "test_5s": 1},
    "XCM": {"train": 182},
    "XCL": {"train": 98},
}
"""Number of archives of each published data set and split."""

PRETRAINING = ("XCM", "XCL")
"""Data sets for training alone; BirdSet validates on the test clips of ``VALIDATION``."""

VALIDATION = "POW"


class BirdSetFolder:
    """The files of one data set, in the published layout.

    Args:
        name: Name of the data set: one of BirdSet's, or that of a folder with the same layout.
        root: Folder that holds the folder ``name``, or holds the files of the data set itself.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        inside = root / name
        self.path = root if not inside.is_dir() and self._lie_in(root) else inside

    def _lie_in(self, folder: Path) -> bool:
        return any(folder.glob(f"{self.name}_metadata*.parquet"))

    def metadata(self, split: BirdSetSplit) -> Path:
        """Return the table of a split.

        Args:
            split: The split; the data sets for training alone have only ``train``.
        """
        ending = "" if self.name in PRETRAINING else f"_{split}"
        return self.path / f"{self.name}_metadata{ending}.parquet"

    def shards(self, split: BirdSetSplit) -> list[Path]:
        """Return the archives of a split that are there, in order.

        Args:
            split: The split.
        """
        return sorted(self.path.glob(f"{self._stem(split)}_[0-9]*.tar.gz"))

    def published_shards(self, split: BirdSetSplit) -> list[Path]:
        """Return all archives that were published for a split; none for other data sets.

        Args:
            split: The split.
        """
        count = SHARDS.get(self.name, {}).get(split, 0)
        return [self.path / f"{self._stem(split)}_{i:04d}.tar.gz" for i in range(1, count + 1)]

    @property
    def class_list(self) -> Path:
        """The file of the class list."""
        return self.path / f"{self.name}_ebird_codes.json"

    def _stem(self, split: BirdSetSplit) -> str:
        if self.name in PRETRAINING:
            return f"{self.name}_shard"
        # The archives of test_5s are written without the underscore.
        return f"{self.name}_{split.replace('_', '')}_shard"

    def cure(self, splits: Sequence[BirdSetSplit]) -> str:
        """Return how missing files can be had.

        Args:
            splits: The splits that miss files.
        """
        if self.name not in SHARDS:
            return (
                f"{self.name} is not one of BirdSet's data sets ({', '.join(SHARDS)}), which can "
                "be downloaded: put its files there, or correct name and root."
            )
        chosen = (
            f" --split {splits[0]}" if len(splits) == 1 and self.name not in PRETRAINING else ""
        )
        return f"Get them with: steadyear data birdset {self.name}{chosen} --root {self.root}"
