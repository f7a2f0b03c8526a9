"""Archives and files of BirdSet: unpacked, missing, damaged."""

from __future__ import annotations

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from steadyear.datamodules.datasets.birdset.archive import unpack
from tests.datamodules.birdset_miniature import Make, epoch_of


def test_test_needs_no_training_data(make: Make, miniature: Path) -> None:
    for path in miniature.glob("*_train*"):
        path.unlink()
    assert len(list(make("test").test_dataloader())) == 2


@pytest.mark.parametrize("layout", ["unpacked before", "files in root", "archives deleted"])
def test_shard_or_file_is_the_same(make: Make, miniature: Path, layout: str) -> None:
    expected = epoch_of(make(), 0)
    tests = list(make("test").test_dataloader())
    root = miniature.parent
    if layout == "archives deleted":
        assert {path.parent.parent for path in miniature.rglob("*.ogg")} == {miniature / "unpacked"}
    else:
        shutil.rmtree(miniature / "unpacked")
        for shard in miniature.glob("*.tar.gz"):
            with tarfile.open(shard) as archive:
                archive.extractall(miniature / "elsewhere" / shard.stem, filter="data")
    for shard in miniature.glob("*.tar.gz"):
        shard.unlink()
    if layout == "files in root":
        root = miniature
    found = epoch_of(make(root=str(root)), 0)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    for a, b in zip(make("test", root=str(root)).test_dataloader(), tests, strict=True):
        assert torch.equal(a["waveform"], b["waveform"])


def test_read_only_data_is_unpacked_into_the_cache(
    make: Make, miniature: Path, tmp_path: Path
) -> None:
    miniature.chmod(0o555)
    try:
        make("test")
        assert not (miniature / "unpacked").exists()
        assert len(list((tmp_path / "cache").rglob("*.ogg"))) == 17
    finally:
        miniature.chmod(0o755)


def test_missing_files_are_listed_with_the_cure(make: Make, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    data = make(None, name="HSN", root=str(empty), label_space=None)
    with pytest.raises(FileNotFoundError) as error:
        data.setup("test")
    message = str(error.value)
    assert str(empty / "HSN" / "HSN_metadata_test_5s.parquet") in message
    assert "HSN_test5s_shard_0001.tar.gz" in message
    assert f"steadyear data birdset HSN --split test_5s --root {empty}" in message
    with pytest.raises(
        FileNotFoundError, match=r"(?s)HSN_train_shard_0001.*to HSN_train_shard_0007"
    ):
        make(None, name="HSN", root=str(empty)).setup("fit")
    with pytest.raises(FileNotFoundError, match=r"(?s)XCL_metadata.parquet.*POW_metadata_test_5s"):
        make(None, name="XCL", root=str(empty)).setup("fit")
    with pytest.raises(FileNotFoundError, match="not one of BirdSet's data sets"):
        make(None, name="ABC", root=str(empty)).setup("fit")


def test_missing_archive(make: Make, miniature: Path) -> None:
    (miniature / "MIN_train_shard_0002.tar.gz").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"(?s)6 recordings are missing: XC10.ogg, XC11.ogg.*MIN is not one"
    ):
        make()
    with pytest.warns(UserWarning, match="6 recordings are missing"):
        data = make(on_bad_file="skip")
    present = {data.clip_ids[i].split("#")[0] for i in data.splits.clips}
    assert present == {f"XC{i}.ogg" for i in range(6)}


def test_several_processes_unpack_the_same_archives(miniature: Path, tmp_path: Path) -> None:
    shards = sorted(miniature.glob("*.tar.gz"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: unpack(shards, tmp_path / "target"), range(4)))
    assert len(list((tmp_path / "target").rglob("*.ogg"))) == 17
    assert not [path for path in (tmp_path / "target").iterdir() if path.name.startswith(".")]


def test_damaged_archive(make: Make, miniature: Path) -> None:
    shard = miniature / "MIN_train_shard_0002.tar.gz"
    shard.write_bytes(shard.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"shard_0002.tar.gz is damaged"):
        make()
    # The whole one stays unpacked, nothing else is left behind.
    assert {path.name.split("-")[0] for path in (miniature / "unpacked").iterdir()} == {
        "MIN_train_shard_0001"
    }


def test_corrupt_recording(make: Make, miniature: Path) -> None:
    make()
    victim = next(miniature.rglob("XC0.ogg"))
    victim.write_bytes(b"OggS" + bytes(500))
    settings = {"val_share": 0.0, "batch_size": 100}
    with pytest.raises(ValueError, match=r"XC0.ogg: unreadable.*on_bad_file: skip"):
        next(iter(make(**settings).train_dataloader()))
    with pytest.warns(UserWarning, match="left out of its batch: .*XC0.ogg"):
        batch = next(iter(make(on_bad_file="skip", **settings).train_dataloader()))
    assert len(batch["index"]) == 13  # of 15, two from the victim
    assert len(batch["waveform"]) == len(batch["target"]) == 13
