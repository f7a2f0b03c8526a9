"""Tiny data sets in BirdSet's layout."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

RATE = 32000


def write_birdset(folder: Path, name: str, codes: list[str], recordings: int, clips: int) -> None:
    """Write recordings of noise, each of one species, and test clips of one or two.

    Args:
        folder: Where the files of the data set go.
        name: Its name.
        codes: Its species.
        recordings: Training recordings.
        clips: Test clips; the first is without any bird.
    """
    folder.mkdir(parents=True)
    (folder / f"{name}_ebird_codes.json").write_text(
        json.dumps(
            {"id2label": dict(enumerate(codes)), "label2id": {c: i for i, c in enumerate(codes)}}
        )
    )
    train = [f"XC{i}.ogg" for i in range(recordings)]
    _archive(folder, f"{name}_train_shard_0001.tar.gz", train, 3.0)
    species = [codes[i % len(codes)] for i in range(recordings)]
    pd.DataFrame(
        {
            "ebird_code": species,
            "ebird_code_multilabel": [[code] for code in species],
            "detected_events": [[[1.0, 2.0]]] * recordings,
            "event_cluster": [[0]] * recordings,
        },
        index=pd.Index(train, name="filepath"),
    ).to_parquet(folder / f"{name}_metadata_train.parquet")
    test = [f"{name}_001_{5 * i:03d}_{5 * i + 5:03d}.ogg" for i in range(clips)]
    _archive(folder, f"{name}_test5s_shard_0001.tar.gz", test, 5.0)
    pd.DataFrame(
        {
            "filepath": test,
            "ebird_code_multilabel": [
                [codes[j % len(codes)] for j in range(i % 3)] for i in range(clips)
            ],
            "start_time": [0.0] * clips,
            "end_time": [5.0] * clips,
        }
    ).to_parquet(folder / f"{name}_metadata_test_5s.parquet")


def _archive(folder: Path, name: str, files: list[str], seconds: float) -> None:
    source = folder / "source"
    source.mkdir()
    with tarfile.open(folder / name, "w:gz") as archive:
        for number, file in enumerate(files):
            rng = np.random.default_rng(number)
            soundfile.write(source / file, 0.1 * rng.standard_normal(round(seconds * RATE)), RATE)
            archive.add(source / file, file)
    shutil.rmtree(source)
