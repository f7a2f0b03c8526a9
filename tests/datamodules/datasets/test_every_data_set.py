"""The table of data sets: one row each, made in miniature, and what its batches hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import isabstract
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from steadyear.datamodules import (
    BirdFolderDataModule,
    BirdSetDataModule,
    LabelledAudio,
    RatedMusic,
    SoundtracksDataModule,
    SyntheticBirds,
    SyntheticMusic,
)
from steadyear.datamodules.bases.base import BaseDataModule
from steadyear.lightning_modules.frontends import LogMel
from steadyear.lightning_modules.frontends.statistics import fit_statistics
from tests.datamodules.birdset_miniature import write_miniature
from tests.steadyear.music_data import write_emotify, write_esc50, write_soundtracks

COUNTS = (4, 2, 2)


class Row(NamedTuple):
    """How to make a data set in a folder, and the widths of its batches."""

    make: Callable[..., BaseDataModule]
    seconds: float
    targets: int
    concepts: int = 0
    numbers: bool = False
    """Whether the target of a clip is the number of its class."""


def bird_folder(folder: Path, **settings: Any) -> BaseDataModule:
    lines = ["primary_label,secondary_labels,filename"]
    (folder / "train_audio").mkdir()
    for i in range(20):
        noise = 0.1 * np.random.default_rng(i).standard_normal(6 * 8000)
        soundfile.write(folder / "train_audio" / f"XC{i}.ogg", noise, 8000)
        lines.append(f"{('abc', 'zebra')[i % 2]},[],XC{i}.ogg")
    (folder / "train_metadata.csv").write_text("\n".join(lines))
    return BirdFolderDataModule(str(folder), **settings)


def birdset(folder: Path, **settings: Any) -> BaseDataModule:
    write_miniature(folder / "MIN")
    return BirdSetDataModule("MIN", str(folder), cache_dir=str(folder / "cache"), **settings)


def emotify(folder: Path, **settings: Any) -> BaseDataModule:
    write_emotify(folder)
    table = str(folder / "mean_ratings_emotify.csv")
    settings |= {"target_columns": ["power", "tension"], "excerpt_seconds": 2.0}
    return RatedMusic(str(folder / "audio"), table, cache_dir=str(folder / "cache"), **settings)


def labelled(folder: Path, **settings: Any) -> BaseDataModule:
    write_esc50(folder)
    split = {"train": ["1", "2", "3"], "val": ["4"], "test": ["5"]}
    settings |= {"split_column": "fold", "split_values": split, "excerpt_seconds": 2.0}
    table, cache = str(folder / "meta/esc50.csv"), str(folder / "cache")
    return LabelledAudio(str(folder / "audio"), table, "category", cache_dir=cache, **settings)


def soundtracks(folder: Path, **settings: Any) -> BaseDataModule:
    write_soundtracks(folder)
    settings |= {"allow_missing": True, "excerpt_seconds": 2.0}
    return SoundtracksDataModule(str(folder), cache_dir=str(folder / "cache"), **settings)


def synthetic(kind: Callable[..., BaseDataModule]) -> Callable[..., BaseDataModule]:
    return lambda folder, **settings: kind(COUNTS, cache_dir=str(folder / "cache"), **settings)


ROWS: dict[type[BaseDataModule], Row] = {
    BirdFolderDataModule: Row(bird_folder, 5.0, 2),
    BirdSetDataModule: Row(birdset, 5.0, 3),
    LabelledAudio: Row(labelled, 2.0, 50, numbers=True),
    RatedMusic: Row(emotify, 2.0, 2),
    SoundtracksDataModule: Row(soundtracks, 2.0, 8, 7),
    SyntheticBirds: Row(synthetic(SyntheticBirds), 5.0, 8),
    SyntheticMusic: Row(synthetic(SyntheticMusic), 10.0, 8, 7),
}


def data_modules(base: type[BaseDataModule]) -> Iterator[type[BaseDataModule]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("steadyear."):
            yield from () if isabstract(kind) else (kind,)
            yield from data_modules(kind)


def test_every_data_set_has_a_row() -> None:
    assert set(data_modules(BaseDataModule)) == set(ROWS)


@pytest.mark.filterwarnings("ignore:Soundtracks")
@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_batches_of_every_part(kind: type[BaseDataModule], tmp_path: Path) -> None:
    row = ROWS[kind]
    data = row.make(tmp_path, stream="waveform", batch_size=2)
    data.prepare_data()
    seen: list[int] = []
    for stage, loaders in (
        ("fit", (data.train_dataloader, data.val_dataloader)),
        ("test", (data.test_dataloader, data.predict_dataloader)),
    ):
        data.setup(stage)
        for loader in loaders:
            batch = next(iter(loader()))
            size = len(batch["index"])
            seen.append(size)
            expected = {
                "waveform": (size, round(row.seconds * data.default_sample_rate)),
                "target": (size,) if row.numbers else (size, row.targets),
                "concepts": (size, row.concepts),
                "index": (size,),
            }
            shapes = {key: tuple(value.shape) for key, value in batch.items()}
            assert shapes == {k: v for k, v in expected.items() if k != "concepts" or row.concepts}
            assert batch["index"].dtype == torch.int64
            assert batch["target"].dtype == (torch.int64 if row.numbers else torch.float32)
            inputs = set(shapes) - {"index", "target"}
            assert {batch[name].dtype for name in inputs} == {torch.float32}
            assert all(bool(value.isfinite().all()) for value in batch.values())
            assert max(batch["index"].tolist()) < len(data.clip_ids)
    assert len(seen) == 4
    assert len(data.target_names) == row.targets


@pytest.mark.filterwarnings("ignore:Soundtracks")
@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_a_front_end_is_fitted_on_training_clips(
    kind: type[BaseDataModule], tmp_path: Path
) -> None:
    frontend = LogMel(1024, 512, 16, kind.default_sample_rate)
    data = ROWS[kind].make(tmp_path, stream="spectrogram", frontend=frontend, batch_size=2)
    data.prepare_data()
    data.setup("fit")
    fit_statistics(frontend, data.spectrograms_to_fit())
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["spectrogram"].shape[:3] == (2, 1, 16)
    assert "waveform" not in batch
