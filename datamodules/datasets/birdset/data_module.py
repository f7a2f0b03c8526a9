"""BirdSet, read directly from its published tables and archives."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from steadyear.datamodules.bases.birds import BirdDataModule, Stage, StageClips
from steadyear.datamodules.datasets.birdset.archive import find_recordings, unpack, unpack_folder
from steadyear.datamodules.datasets.birdset.events import Events, limit_events, main_events, usable
from steadyear.datamodules.datasets.birdset.layout import (
    PRETRAINING,
    VALIDATION,
    BirdSetFolder,
    BirdSetSplit,
)
from steadyear.datamodules.datasets.birdset.tables import BirdSetTable, read_table, unique_names
from steadyear.datamodules.paths import default_cache_dir, expand_path
from steadyear.datamodules.sources.bird_clips import BirdClips
from steadyear.datamodules.tables.class_lists import label_positions, positions_in, read_class_list
from steadyear.datamodules.tables.recording_splits import stratified_parts
from steadyear.datamodules.tables.splits import Splits

Part = tuple[BirdSetFolder, BirdSetSplit]


class BirdSetDataModule(BirdDataModule):
    """A data set of BirdSet (Rauch et al., ICLR 2025), or a folder of the same layout.

    Training clips are detected events of focal recordings: those of the biggest cluster of each
    recording, see ``main_events``, within soft limits, see ``limited_counts``. A recording without
    events gives one clip at its start. Whole recordings are divided into training and validation,
    per species: BirdSet divides events, so that one recording can be on both sides. ``XCM`` and
    ``XCL`` train on all recordings and validate on the test clips of ``POW``, as published. Test
    clips are those of ``test_5s``. Validation and test clips are never augmented.

    Archives are unpacked once, into ``unpacked`` beside them, or into the cache if that folder
    cannot be written to; they may be deleted afterwards. Recordings that were unpacked by other
    means are found by name, in whatever folder below that of the data set.

    Args:
        name: ``PER``, ``NES``, ``UHH``, ``HSN``, ``NBP``, ``POW``, ``SSW``, ``SNE``, ``XCM``,
            ``XCL``, or the name of a folder with the same layout.
        root: Folder that holds the folder ``name``, or holds the files of the data set itself.
        label_space: Class list of the targets: ``None`` for the data set's own, the name of
            another data set such as ``XCL``, or a JSON file with ``id2label``, which may be the
            ``config.json`` of a checkpoint.
        class_limit: Soft limit of clips per class in training; ``None`` sets no limit.
        event_limit: Soft limit of clips per recording in training; ``None`` sets no limit.
        val_share: Share of the recordings for validation.
        split_seed: Seed of split and limits, apart from that of the run: all runs share one split.
        cache_dir: Folder of caches; ``None`` takes the environment variable ``STEADYEAR_CACHE``,
            and without it ``.cache/steadyear`` in the working directory.
        **kwargs: Arguments of ``BirdDataModule``.

    Raises:
        ValueError: If a setting is out of its range.
    """

    def __init__(
        self,
        name: str,
        root: str,
        label_space: str | None = None,
        class_limit: int | None = 600,
        event_limit: int | None = 5,
        val_share: float = 0.2,
        split_seed: int = 42,
        cache_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        limits = [limit for limit in (class_limit, event_limit) if limit is not None]
        if min(limits, default=1) < 1 or not 0 <= val_share < 1:
            raise ValueError("class_limit and event_limit must be >= 1, and val_share in 0..1.")
        self.dataset_name = name
        self.root = expand_path(root)
        self.label_space = label_space
        self.class_limit = class_limit
        self.event_limit = event_limit
        self.val_share = val_share
        self.split_seed = split_seed
        self.cache_dir = expand_path(cache_dir) if cache_dir else default_cache_dir()
        self._tables: dict[Path, BirdSetTable] = {}

    @cached_property
    def target_names(self) -> list[str]:
        """Code of each class, in the order of the targets."""
        return self.class_codes if self.label_space is None else self._other_class_list()

    @cached_property
    def class_codes(self) -> list[str]:
        """Codes of the data set's own classes; see also ``class_mask``."""
        folder = self._folder
        for path in (folder.class_list, folder.root / folder.class_list.name):
            if path.is_file():
                return read_class_list(path)
        tables = [read_table(path) for path in sorted(folder.path.glob("*_metadata*.parquet"))]
        codes = sorted({code for table in tables for row in table.codes for code in row})
        if not codes:
            self._require([(folder, "train"), (folder, "test_5s")])
        rank_zero_warn(
            f"{folder.class_list} does not exist: the {len(codes)} classes of {self.dataset_name} are those "
            "of its tables, in alphabetical order. Species are matched by code, so that published "
            "checkpoints still fit; classes without any clip are missing from the list."
        )
        return codes

    @property
    def class_mask(self) -> list[int] | None:
        """Positions of the data set's own classes in ``label_space``, if there is one."""
        if self.label_space is None:
            return None
        return positions_in(self.class_codes, self.target_names, self.dataset_name)

    def prepare_data(self) -> None:
        """Unpack the archives that are needed; Lightning calls it in one process only."""
        running = None if self.trainer is None else self.trainer.state.fn
        if running is not None:
            self._recordings(self._needed(str(running.value)))
            return
        # Nobody says what comes next: prepare what is there.
        for stage in ("fit",) if self.dataset_name in PRETRAINING else ("fit", "test"):
            needed = self._needed(stage)
            if all(folder.metadata(split).is_file() for folder, split in needed):
                self._recordings(needed)

    def find_clips(self, stage: Stage) -> StageClips:
        """Read the tables and find the recordings; see the base class."""
        needed = self._needed(stage)
        paths = self._recordings(needed)
        cure = "\n".join(folder.cure([split]) for folder, split in needed)
        # Test clips first: their positions must not depend on the training clips being there.
        evaluated = self._evaluation(stage)
        if stage in ("test", "predict"):
            assert evaluated is not None
            return StageClips(
                evaluated, Splits([], [], list(range(len(evaluated)))), paths, 0, cure
            )
        train = self._training_clips()
        first = 0 if evaluated is None else len(evaluated)
        clips = train if evaluated is None else evaluated + train
        if self.dataset_name in PRETRAINING:
            own = list(range(first, len(clips)))
            return StageClips(clips, Splits(own, list(range(first)), []), paths, first, cure)
        sides = self._sides(train)
        train_side, val_side = (
            [first + i for i, side in enumerate(sides) if side == part] for part in (0, 1)
        )
        return StageClips(clips, Splits(train_side, val_side, []), paths, first, cure)

    @property
    def _folder(self) -> BirdSetFolder:
        return BirdSetFolder(self.dataset_name, self.root)

    def _needed(self, stage: str) -> list[Part]:
        folder = self._folder
        if stage in ("test", "predict"):
            if self.dataset_name in PRETRAINING:
                raise ValueError(
                    f"{self.dataset_name} has no test clips: test on another data set, with "
                    f"label_space: {self.dataset_name} for the targets of a model trained on it."
                )
            return [(folder, "test_5s")]
        if self.dataset_name in PRETRAINING:
            return [(folder, "train"), (BirdSetFolder(VALIDATION, self.root), "test_5s")]
        return [(folder, "train")]

    def _require(self, needed: list[Part]) -> None:
        """Refuse to go on when tables are missing, with one message about all of them."""
        missing = [
            (folder, split) for folder, split in needed if not folder.metadata(split).is_file()
        ]
        if missing:
            raise FileNotFoundError(_absent(missing, self.root))

    def _recordings(self, needed: list[Part]) -> dict[str, Path]:
        """Find the recordings of splits; unpack archives where some are not there."""
        self._require(needed)
        paths: dict[str, Path] = {}
        for folder, split in needed:
            wanted = set(self._table(folder, split).files)
            target = unpack_folder(folder.path, self.cache_dir)
            found = find_recordings((folder.path, target), wanted)
            if len(found) < len(wanted):
                unpack(folder.shards(split), target)
                found = find_recordings((folder.path, target), wanted)
            if not found and wanted:
                raise FileNotFoundError(_absent([(folder, split)], self.root))
            paths |= found
        return paths

    def _table(self, folder: BirdSetFolder, split: BirdSetSplit) -> BirdSetTable:
        path = folder.metadata(split)
        if path not in self._tables:
            self._tables[path] = read_table(path)
        return self._tables[path]

    def _evaluation(self, stage: Stage) -> BirdClips | None:
        """Return the fixed clips of 5 s; at other stages than test they only need to be named."""
        name = VALIDATION if self.dataset_name in PRETRAINING else self.dataset_name
        folder = BirdSetFolder(name, self.root)
        if stage in ("fit", "validate") and not folder.metadata("test_5s").is_file():
            return None
        table = self._table(folder, "test_5s")
        starts, ends = _ranges(table, self.rule.seconds)
        return BirdClips(
            unique_names(table.files),
            table.files,
            starts,
            ends,
            np.zeros(len(table.files), bool),
            label_positions(table.codes, self.target_names, str(table.path)),
        )

    def _training_clips(self) -> BirdClips:
        table = self._table(self._folder, "train")
        classes = [row[0] if row else "" for row in table.codes]
        found = main_events(usable(table.events))
        events = limit_events(found, classes, self.class_limit, self.event_limit, self.split_seed)
        events, moving = _with_eventless(events, table, self.rule.seconds)
        names = [table.files[row] for row in events.recording]
        labels = label_positions(table.codes, self.target_names, str(table.path))
        return BirdClips(
            unique_names([f"{name}#{n}" for name, n in zip(names, events.number, strict=True)]),
            names,
            events.bounds[:, 0],
            events.bounds[:, 1],
            moving,
            [labels[row] for row in events.recording],
        )

    def _sides(self, clips: BirdClips) -> list[int]:
        """Return 0 for every training clip and 1 for every validation clip."""
        species = {name: row[:1] for name, row in zip(clips.recordings, clips.labels, strict=True)}
        sides = stratified_parts(species, (1 - self.val_share, self.val_share), self.split_seed)
        return [sides[name] for name in clips.recordings]

    def _other_class_list(self) -> list[str]:
        assert self.label_space is not None
        if self.label_space.endswith(".json"):
            return read_class_list(expand_path(self.label_space))
        other = BirdSetFolder(self.label_space, self.root).class_list
        for path in (other, self.root / other.name, self._folder.path / other.name):
            if path.is_file():
                return read_class_list(path)
        raise FileNotFoundError(
            f"label_space {self.label_space} needs its class list {other.name}, in {other.parent} "
            f"or {self.root}; or give a JSON file with id2label, such as the config.json of a "
            "checkpoint, as label_space."
        )


def _ranges(table: BirdSetTable, seconds: float) -> tuple[Any, Any]:
    """Start and end of every row; the first seconds where the table says nothing."""
    starts = np.nan_to_num(table.starts, nan=0.0)
    return starts, np.where(np.isnan(table.ends), starts + seconds, table.ends)


def _with_eventless(events: Events, table: BirdSetTable, seconds: float) -> tuple[Events, Any]:
    """Add one clip for every recording without events, and say which clips are events.

    Its window lies around the first seconds, as if they were an event; if the table gives the
    recording a start and an end, its window is that range.
    """
    rows = np.setdiff1d(np.arange(len(table.files)), events.recording)
    starts, ends = _ranges(table, seconds)
    bounds = np.stack([starts[rows], ends[rows]], axis=1)
    given = np.isfinite(table.starts[rows]) & np.isfinite(table.ends[rows])
    nothing = np.zeros(len(rows), int)
    together = Events(
        np.concatenate([events.recording, rows]),
        np.concatenate([events.number, nothing]),
        np.concatenate([events.bounds, bounds]),
        np.concatenate([events.cluster, nothing]),
    )
    order = np.argsort(together.recording, kind="stable")
    moving = np.concatenate([np.ones(len(events), bool), ~given])
    return together.select(order), moving[order]


def _absent(parts: list[Part], root: Path) -> str:
    lines = [f"Files of {' and '.join(folder.name for folder, _ in parts)} are missing in {root}:"]
    for folder, split in parts:
        archives = folder.published_shards(split)
        files = [folder.metadata(split), *archives[:3]]
        lines += [f"  {path}" for path in files if not path.is_file()]
        lines += [f"  ... to {last.name}" for last in archives[3:][-1:]]
        lines.append(folder.cure([split]))
    return "\n".join(lines)
