"""A data set of three species in the published layout, and a front end at its rate."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch
from torch import Tensor

from steadyear.datamodules import BirdSetDataModule
from steadyear.lightning_modules.frontends import LogMel

RATE = 8000
CODES = ["zebdov", "abcwar1", "midowl"]  # not alphabetical, as published
Make = Callable[..., BirdSetDataModule]


class PowerLogMel(LogMel):
    """A front end at 8 kHz that can be taken apart."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(256, 128, 16, sample_rate=RATE, **kwargs)

    def power(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(waveform, 256, 128, window=self.window, return_complex=True)
        return spectrum.abs().square()

    def from_power(self, power: Tensor) -> Tensor:
        return self._limit(10 * torch.log10((self.filterbank @ power).clamp(min=1e-10)))


def write_miniature(folder: Path) -> None:
    """Write a data set MIN of 12 focal recordings and five test clips, laid out as BirdSet is."""
    folder.mkdir()
    train = {f"XC{i}.ogg": _sound(3.0 if i == 4 else 12.0, i) for i in range(12)}
    for shard in (1, 2):
        half = dict(list(train.items())[6 * (shard - 1) : 6 * shard])
        _archive(folder, f"MIN_train_shard_000{shard}.tar.gz", half, "data/xc/")
    names = [f"Recording_1_Segment_03_{5 * i:03d}_{5 * i + 5:03d}.ogg" for i in range(5)]
    test = {name: _sound(2.0 if i == 4 else 5.0, 100 + i) for i, name in enumerate(names)}
    _archive(folder, "MIN_test5s_shard_0001.tar.gz", test, "")
    _train_table(folder, "MIN_metadata_train", 12)
    pd.DataFrame(
        {
            "filepath": [f"deep/folder/{name}" for name in names],
            "ebird_code": [None] * 5,
            "ebird_code_multilabel": [
                ["midowl"],
                [],
                ["zebdov", "abcwar1"],
                ["midowl"],
                ["zebdov"],
            ],
            "start_time": [0.0, 0.0, np.nan, 1.0, 0.0],
            "end_time": [5.0, 5.0, np.nan, 5.0, 2.0],
        }
    ).to_parquet(folder / "MIN_metadata_test_5s.parquet")
    labels = {"label2id": {code: i for i, code in enumerate(CODES)}}
    (folder / "MIN_ebird_codes.json").write_text(json.dumps(labels))


def _sound(seconds: float, seed: int) -> np.ndarray[Any, Any]:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def _archive(folder: Path, name: str, files: dict[str, np.ndarray[Any, Any]], inner: str) -> None:
    source = folder / "source"
    source.mkdir()
    with tarfile.open(folder / name, "w:gz") as archive:
        for file, samples in files.items():
            soundfile.write(source / file, samples, RATE)
            archive.add(source / file, inner + file)
    shutil.rmtree(source)


def _train_table(folder: Path, name: str, rows: int) -> None:
    events = [[[1.0, 2.0], [3.0, 3.5], [9.0, 9.5]], None, [], [[0.0, 1.0]]]
    clusters = [[0, 0, -1], None, [], [-1]]
    pd.DataFrame(
        {
            "ebird_code": [CODES[i % 3] for i in range(rows)],
            "ebird_code_multilabel": [[CODES[i % 3]] if i % 2 else None for i in range(rows)],
            "start_time": [None] * rows,
            "end_time": [None] * rows,
            "detected_events": [events[i % 4] for i in range(rows)],
            "event_cluster": [clusters[i % 4] for i in range(rows)],
        },
        index=pd.Index([f"XC{i}.ogg" for i in range(rows)], name="filepath"),
    ).to_parquet(folder / f"{name}.parquet")


def epoch_of(data: BirdSetDataModule, epoch: int) -> dict[str, Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    batches = list(loader)
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
