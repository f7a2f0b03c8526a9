"""`steadyear data birdset` with the real client, against a server in the hub's layout."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from steadyear.__main__ import main
from steadyear.datamodules import BirdSetDataModule
from steadyear.datamodules.transforms.augmentation import NoCall
from steadyear.download.birdset import wanted
from steadyear.download.hub import RemoteFile
from tests.steadyear.hub_server import COMMIT, hub

SIZE = 40_000
CHUNK = 10 * 2**20
"""What the client writes at once; less than that is lost when a connection breaks."""


@pytest.fixture
def published(tmp_path):
    """Files named as those of HSN, with any content."""
    folder = tmp_path / "hub" / "HSN"
    folder.mkdir(parents=True)
    for name in (
        "HSN_metadata_train.parquet",
        "HSN_metadata_test.parquet",
        "HSN_metadata_test_5s.parquet",
        "HSN_train_shard_0001.tar.gz",
        "HSN_train_shard_0002.tar.gz",
        "HSN_test_shard_0001.tar.gz",
        "HSN_test5s_shard_0001.tar.gz",
    ):
        (folder / name).write_bytes(os.urandom(SIZE))
    return tmp_path / "hub"


@pytest.fixture
def real(shared_data, tmp_path):
    """Real recordings as the hub has them, through links. The command knows BirdSet's names only."""
    files = shared_data / "birdset_layout" / "BC6"
    folder = tmp_path / "hub" / "HSN"
    folder.mkdir(parents=True)
    for path in files.glob("BC6_*"):
        (folder / path.name.replace("BC6", "HSN")).symlink_to(path)
    return files


@pytest.fixture
def real_server(real, tmp_path, monkeypatch):
    yield from serve(tmp_path / "hub", monkeypatch)


@pytest.fixture
def server(published, monkeypatch):
    yield from serve(published, monkeypatch)


def serve(published, monkeypatch):
    with hub(published) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        constants = "huggingface_hub.constants"
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(f"{constants}.ENDPOINT", endpoint)
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def birdset(root, *args):
    main(["data", "birdset", "HSN", *args, "--root", str(root)])


def same(one, two):
    return one.read_bytes() == two.read_bytes()


def test_a_split_arrives_complete_and_only_once(server, published, tmp_path, capsys):
    root = tmp_path / "data"
    birdset(root, "--split", "test_5s")
    assert "2 files, 0.08 MB; still to be fetched 0.08 MB" in capsys.readouterr().out
    asked = list(server.sent)
    birdset(root, "--split", "test_5s")
    assert server.sent == asked
    assert "still to be fetched 0.00 MB" in capsys.readouterr().out
    names = {"HSN_metadata_test_5s.parquet", "HSN_test5s_shard_0001.tar.gz"}
    assert {path.name for path in (root / "HSN").iterdir()} == names
    assert all(same(root / "HSN" / name, published / "HSN" / name) for name in names)
    assert json.loads((root / "birdset_revision.json").read_text())["commit"] == COMMIT


@pytest.mark.slow
def test_the_endpoint_of_the_environment(server, published, tmp_path):
    environment = os.environ | {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    command = [sys.executable, "-m", "steadyear", "data", "birdset", "HSN", "--root", str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    assert len(list((tmp_path / "HSN").iterdir())) == 7


def test_a_connection_that_breaks_half_way(server, published, tmp_path):
    name = "HSN_test5s_shard_0001.tar.gz"
    (published / "HSN" / name).write_bytes(os.urandom(3 * CHUNK))
    (published / "HSN" / "HSN_metadata_test_5s.parquet").unlink()
    server.breaks = 1
    birdset(tmp_path / "data", "--split", "test_5s")
    # It went on with the next chunk, it did not begin again.
    assert server.sent == [(f"HSN/{name}", 0), (f"HSN/{name}", CHUNK)]
    assert same(tmp_path / "data" / "HSN" / name, published / "HSN" / name)


def test_real_recordings_from_the_hub_to_batches(real_server, real, tmp_path):
    root = tmp_path / "data"
    name = "HSN/HSN_train_shard_0001.tar.gz"
    real_server.breaks_in = {name}
    birdset(root)
    # It broke after half of the archive, and went on with the next chunk.
    assert [first for path, first in real_server.sent if path == name] == [0, CHUNK]
    for path in real.glob("BC6_*"):
        assert same(root / "HSN" / path.name.replace("BC6", "HSN"), path)

    data = BirdSetDataModule("HSN", str(root), stream="waveform", batch_size=8)
    data.prepare_data()
    data.setup("fit")
    recordings = pd.read_parquet(real / "BC6_metadata_train.parquet").index
    used = {data.clip_ids[clip].split("#")[0] for clip in data.splits.clips}
    assert used == set(recordings)
    batch = next(iter(data.train_dataloader()))
    assert batch["waveform"].shape == (8, 160_000)
    assert bool((batch["waveform"].abs().amax(1) > 0).all())
    assert batch["target"].sum(1).tolist() == [1.0] * 8

    data.setup("test")
    compare_with_archive(data, real)


def compare_with_archive(data, real):
    """The first test batch against the archive, read by other means."""
    batch = next(iter(data.test_dataloader()))
    rows = pd.read_parquet(real / "BC6_metadata_test_5s.parquet")["ebird_code_multilabel"]
    with tarfile.open(real / "BC6_test5s_shard_0001.tar.gz") as archive:
        for position, clip in enumerate(batch["index"].tolist()):
            name = data.clip_ids[clip]
            samples, rate = soundfile.read(io.BytesIO(archive.extractfile(name).read()))
            assert rate == 32_000
            expected = torch.from_numpy(samples).float()
            torch.testing.assert_close(batch["waveform"][position], expected, atol=1e-6, rtol=0)
            labels = batch["target"][position].nonzero().flatten()
            assert {data.target_names[i] for i in labels} == set(rows[name])


def test_what_has_arrived_serves_the_next_attempt(server, published, tmp_path):
    root = tmp_path / "data"
    (root / "HSN").mkdir(parents=True)
    name = "HSN_test5s_shard_0001.tar.gz"
    begun = (published / "HSN" / name).read_bytes()[:10_000]
    (root / "HSN" / f".{name}.{COMMIT[:12]}.part").write_bytes(begun)
    birdset(root, "--split", "test_5s")
    assert (f"HSN/{name}", 10_000) in server.sent
    assert same(root / "HSN" / name, published / "HSN" / name)


def test_damage_is_noticed_and_repaired(server, published, tmp_path, capsys):
    root = tmp_path / "data"
    name = "HSN/HSN_test5s_shard_0001.tar.gz"
    server.wrong = {name}
    with pytest.raises(SystemExit):
        birdset(root, "--split", "test_5s")
    assert "arrived damaged" in capsys.readouterr().err
    assert not (root / name).exists()
    server.wrong = set()
    birdset(root, "--split", "test_5s")
    assert same(root / name, published / name)


def test_a_hub_that_does_not_know_it(server, published, tmp_path, capsys):
    shutil.rmtree(published / "HSN")
    with pytest.raises(SystemExit):
        birdset(tmp_path / "data")
    assert "did not answer as expected" in capsys.readouterr().err


def test_noise_is_unpacked_for_augmentation(server, published, tmp_path):
    (published / "dcase18").mkdir()
    sound = tmp_path / "wind.wav"
    soundfile.write(sound, 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    with tarfile.open(published / "dcase18" / "dcase18_shard_0001.tar.gz", "w:gz") as archive:
        archive.add(sound, "some/folder/wind.wav")
    main(["data", "birdset", "dcase18", "--root", str(tmp_path / "data")])
    assert len(NoCall(str(tmp_path / "data" / "dcase18")).files) == 1


def test_too_little_room(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("steadyear.download.hub.free_bytes", lambda root: 1000)
    with pytest.raises(SystemExit):
        birdset(tmp_path / "data")
    assert "make room" in capsys.readouterr().err
    assert server.sent == []


def test_revisions_do_not_mix(server, tmp_path, capsys):
    (tmp_path / "birdset_revision.json").write_text(json.dumps({"commit": "f" * 40}))
    with pytest.raises(SystemExit):
        birdset(tmp_path, "--revision", COMMIT)
    assert "choose another --root" in capsys.readouterr().err


def test_an_unknown_data_set(capsys):
    with pytest.raises(SystemExit):
        main(["data", "xeno-canto"])
    assert "usage: steadyear data birdset" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train"], ["A_metadata_train.parquet", "A_train_shard_0001.tar.gz"]),
        (["test"], ["A_metadata_test.parquet", "A_test_shard_0001.tar.gz"]),
        (["test_5s"], ["A_metadata_test_5s.parquet", "A_test5s_shard_0001.tar.gz"]),
    ],
)
def test_splits_are_told_apart(splits, expected):
    names = [
        *("A_metadata_train.parquet", "A_metadata_test.parquet", "A_metadata_test_5s.parquet"),
        *("A_train_shard_0001.tar.gz", "A_test_shard_0001.tar.gz", "A_test5s_shard_0001.tar.gz"),
        "README.md",
    ]
    files = [RemoteFile(f"A/{name}", 1, None) for name in names]
    assert [file.path[2:] for file in wanted(files, splits)] == expected


def test_data_sets_without_splits_are_taken_whole():
    files = [RemoteFile(f"XCM/XCM_{n}", 1, None) for n in ("metadata.parquet", "shard_0001.tar.gz")]
    assert wanted(files, ["train"]) == files
