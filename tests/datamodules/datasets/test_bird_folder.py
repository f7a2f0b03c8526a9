"""The layout of BirdCLEF, windows in files of other formats, and class lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from steadyear.datamodules import BirdFolderDataModule
from steadyear.datamodules.sources.base import AudioProblemError
from steadyear.datamodules.sources.windows import read_window
from steadyear.datamodules.tables.class_lists import positions_in, read_class_list
from steadyear.datamodules.tables.recording_splits import stratified_parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 recordings of 7 s at 32 kHz, ten of each of two species."""
    rows = ["primary_label,secondary_labels,type,filename"]
    for i in range(20):
        code = ("zebra", "abc")[i % 2]
        path = tmp_path / "train_audio" / code / f"XC{i}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(i).standard_normal(7 * 8000), 8000)
        more = "\"['abc', 'unknown1']\"" if i == 0 else "[]"
        rows.append(f"{code},{more},['song'],{code}/XC{i}.ogg")
    (tmp_path / "train_metadata.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def _ready(folder: Path, **kwargs: Any) -> BirdFolderDataModule:
    data = BirdFolderDataModule(str(folder), stream="waveform", batch_size=4, **kwargs)
    data.prepare_data()
    data.setup("fit")
    return data


def test_parts_and_targets(folder: Path) -> None:
    data = _ready(folder)
    assert data.target_names == ["abc", "zebra"]
    assert [len(part) for part in data.splits] == [16, 2, 2]
    for part in data.splits:
        names = [data.clip_ids[i].split("/")[0] for i in part]
        assert names.count("abc") == names.count("zebra")
    for batch in data.test_dataloader():
        assert batch["waveform"].shape[1] == 160000
        for index, target in zip(batch["index"].tolist(), batch["target"].tolist(), strict=True):
            assert target == ([1, 0] if data.clip_ids[index].startswith("abc") else [0, 1])


def test_windows(folder: Path) -> None:
    data = _ready(folder)
    loader = data.train_dataloader()
    first: dict[int, torch.Tensor] = {}
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for index, window in zip(batch["index"].tolist(), batch["waveform"], strict=True):
                if index in first:
                    assert not torch.equal(first[index], window)
                first[index] = window
    (batch,) = data.val_dataloader()
    whole, _ = soundfile.read(folder / "train_audio" / data.clip_ids[batch["index"][0]])
    centre = torch.from_numpy(whole[8000:48000]).float()  # 1 s to 6 s of 7 s
    torch.testing.assert_close(batch["waveform"][0], resample(centre, 8000, 32000))


def test_secondary_labels(folder: Path) -> None:
    data = _ready(folder, secondary=True, split=(1.0, 0.0, 0.0))
    targets = {
        data.clip_ids[int(i)]: target.tolist()
        for batch in data.train_dataloader()
        for i, target in zip(batch["index"], batch["target"], strict=True)
    }
    assert targets["zebra/XC0.ogg"] == [1, 1]  # unknown1 is no class
    assert targets["zebra/XC2.ogg"] == [0, 1]
    table = folder / "train_metadata.csv"
    table.write_text(table.read_text().replace("\"['abc', 'unknown1']\"", "abc"))
    with pytest.raises(ValueError, match="secondary_labels must be lists"):
        _ready(folder, secondary=True)


def test_missing_recordings_and_columns(folder: Path) -> None:
    (folder / "train_audio" / "abc" / "XC1.ogg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 recordings are missing: abc/XC1.ogg"):
        _ready(folder)
    table = folder / "train_metadata.csv"
    table.write_text(table.read_text().replace("primary_label", "label"))
    with pytest.raises(ValueError, match="no column 'primary_label'"):
        _ready(folder)
    table.unlink()
    with pytest.raises(FileNotFoundError, match=r"train_metadata.csv"):
        _ready(folder)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, np.ndarray[Any, Any]]]:
    def make(name: str, seconds: float, rate: int, channels: int = 1) -> Any:
        shape = (round(seconds * rate), channels)
        samples = 0.1 * np.random.default_rng(0).standard_normal(shape)
        soundfile.write(tmp_path / name, samples, rate)
        return tmp_path / name, soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0]

    return make


def test_seeking_gives_the_samples_of_the_whole_file(write: Callable[..., Any]) -> None:
    path, whole = write("long.ogg", 40, 32000)
    for start in (0.0, 3.21, 17.00001, 34.9):
        window = read_window(path, lambda _, s=start: (s, s + 5), 5.0, 32000)
        first = round(start * 32000)
        np.testing.assert_array_equal(window.numpy(), whole[first : first + 160000, 0])


def test_channels_rates_and_short_ends(write: Callable[..., Any]) -> None:
    path, whole = write("stereo.wav", 7, 44100, channels=2)
    window = read_window(path, lambda duration: (duration - 3, duration + 2), 5.0, 32000)
    mono = torch.from_numpy(whole[4 * 44100 :].mean(axis=1))
    torch.testing.assert_close(window[:96000], resample(mono, 44100, 32000))
    assert len(window) == 160000
    assert not window[96000:].any()


def test_unusable_recordings(write: Callable[..., Any], tmp_path: Path) -> None:
    path, _ = write("short.wav", 1, 8000)
    with pytest.raises(AudioProblemError, match="no sound from 3 to 8 s: it is 1 s long"):
        read_window(path, lambda _: (3.0, 8.0), 5.0, 8000)
    empty, _ = write("empty.wav", 0, 8000)
    with pytest.raises(AudioProblemError, match="empty"):
        read_window(empty, lambda _: (0.0, 5.0), 5.0, 8000)
    with pytest.raises(AudioProblemError, match=r"none.wav"):
        read_window(tmp_path / "none.wav", lambda _: (0.0, 5.0), 5.0, 8000)
    soundfile.write(path, np.full(100, np.nan, np.float32), 8000, subtype="FLOAT")
    with pytest.raises(AudioProblemError, match="not finite"):
        read_window(path, lambda _: (0.0, 5.0), 5.0, 8000)


def test_stratified_parts() -> None:
    strata = {f"{kind}{i}": kind for kind, n in (("a", 50), ("b", 3), ("c", 1)) for i in range(n)}
    strata |= {f"pair{kind}{i}": f"pair{kind}" for kind in range(10) for i in range(2)}
    parts = stratified_parts(strata, (0.6, 0.2, 0.2), seed=0)
    counts = np.bincount(list(parts.values()))
    assert counts.tolist()[1:] == pytest.approx([0.2 * 74] * 2, abs=1.01)
    for kind in set(strata.values()):
        assert any(parts[name] == 0 for name in strata if strata[name] == kind)
    assert [sum(parts[f"a{i}"] == part for i in range(50)) for part in (1, 2)] == [10, 10]
    reverse = dict(reversed(strata.items()))
    assert stratified_parts(reverse, (0.6, 0.2, 0.2), seed=0) == parts
    assert stratified_parts(strata, (0.6, 0.2, 0.2), seed=1) != parts
    with pytest.raises(ValueError, match="sum to 1"):
        stratified_parts(strata, (0.6, 0.2, 0.1), seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"id2label": {"0": "a", "2": "b"}}, "not numbered from 0"),
        ({"label2id": {"a": 0, "b": 0}}, "not numbered from 0"),
        ({"classes": ["a"]}, "no class list"),
        ([], "no class list"),
    ],
)
def test_class_lists(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "codes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_class_list(path)
    path.write_text("nothing")
    with pytest.raises(ValueError, match="no class list"):
        read_class_list(path)


def test_published_class_lists(shared_data: Path) -> None:
    lists = {
        path.name.split("_")[0]: read_class_list(path)
        for path in (shared_data / "birdset_labels").glob("*_ebird_codes.json")
    }
    counts = {name: len(codes) for name, codes in lists.items()}
    assert counts == {
        "HSN": 21, "NBP": 51, "NES": 89, "PER": 132, "POW": 48, "SNE": 56, "SSW": 81, "UHH": 27,
        "XCM": 411, "XCL": 9736,
    }  # fmt: skip
    mask = positions_in(lists["HSN"], lists["XCL"], "HSN")
    assert mask[:4] == [7871, 8875, 7829, 1836]
    assert lists["XCL"][0] == "ostric2"
    assert lists["XCL"][9735] == "melthr"
