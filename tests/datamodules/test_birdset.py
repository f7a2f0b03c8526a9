"""The published layout: a miniature that is written here, and two real data sets."""

from __future__ import annotations

import json
import shutil
import tarfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from datamodules import BirdDataModule, BirdSetDataModule
from datamodules.birdset_archive import unpack
from lightning_modules.frontends import LogMel

RATE = 8000
CONFIGS = Path(__file__).parents[2] / "configs" / "data"
CODES = ["zebdov", "abcwar1", "midowl"]  # not alphabetical, as published


class PowerLogMel(LogMel):
    """A front end at 8 kHz that can be taken apart."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(256, 128, 16, sample_rate=RATE, **kwargs)

    def power(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(waveform, 256, 128, window=self.window, return_complex=True)
        return spectrum.abs().square()

    def from_power(self, power: Tensor) -> Tensor:
        return self._limit(10 * torch.log10((self.filterbank @ power).clamp(min=1e-10)))


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


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set MIN of 12 focal recordings and five test clips, written as BirdSet is."""
    folder = tmp_path_factory.mktemp("birdset") / "MIN"
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
    return folder


@pytest.fixture
def miniature(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(original, tmp_path / "root" / "MIN"))


@pytest.fixture
def make(miniature: Path, tmp_path: Path) -> Callable[..., BirdSetDataModule]:
    def build(stage: str | None = "fit", **kwargs: Any) -> BirdSetDataModule:
        settings = {"name": "MIN", "root": str(miniature.parent), "frontend": PowerLogMel()}
        settings |= {"stream": "waveform", "batch_size": 4, "cache_dir": str(tmp_path / "cache")}
        settings["frontend"].fit(-30.0, 10.0)
        data = BirdSetDataModule(**{**settings, **kwargs})
        if stage is not None:
            data.prepare_data()
            data.setup(stage)
        return data

    return build


Make = Callable[..., BirdSetDataModule]


def _epoch(data: BirdSetDataModule, epoch: int) -> dict[str, Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    batches = list(loader)
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}


def test_training_batches(make: Make) -> None:
    data = make()
    batch = next(iter(data.train_dataloader()))
    assert batch["waveform"].shape == (4, 5 * RATE)
    assert batch["target"].shape == (4, 3)
    assert {batch[key].dtype for key in ("waveform", "target")} == {torch.float32}
    for index, target in zip(batch["index"].tolist(), batch["target"], strict=True):
        recording = int(data.clip_ids[index].split(".")[0].removeprefix("XC"))
        assert target.tolist() == [float(recording % 3 == i) for i in range(3)]


def test_one_clip_for_every_event_of_the_biggest_cluster(make: Make) -> None:
    ids = [name for name in make().clip_ids if name.startswith("XC")]
    # Events by recording: two and noise, none known, none found, only noise; and so on.
    assert ids[:5] == ["XC0.ogg#0", "XC0.ogg#1", "XC1.ogg#0", "XC2.ogg#0", "XC3.ogg#0"]
    assert len(ids) == 3 * 5


def test_windows_lie_around_their_event_and_move_with_the_epoch(
    make: Make, miniature: Path
) -> None:
    data = make(class_limit=None, event_limit=None, val_share=0.0, batch_size=1)
    paths = {path.name: path for path in miniature.rglob("*.ogg")}
    starts: dict[str, set[int]] = {}
    for epoch in range(3):
        seen = _epoch(data, epoch)
        for index, window in zip(seen["index"].tolist(), seen["waveform"], strict=True):
            name = data.clip_ids[index].split("#")[0]
            whole = torch.from_numpy(soundfile.read(paths[name], dtype="float32")[0])
            if len(whole) < 5 * RATE:
                torch.testing.assert_close(window[: len(whole)], whole)
                assert not window[len(whole) :].any()
                continue
            matches = (whole.unfold(0, 64, 1) == window[:64]).all(1).nonzero().flatten().tolist()
            assert len(matches) == 1
            assert torch.equal(whole[matches[0] : matches[0] + 5 * RATE], window)
            starts.setdefault(data.clip_ids[index], set()).add(matches[0])
    # Events early in the recording: the extended event is its first 8 s, the window starts in 0..3 s.
    assert all(0 <= min(found) <= max(found) <= 3 * RATE for found in starts.values())
    assert all(len(found) == 3 for found in starts.values())


def test_recordings_are_on_one_side(make: Make) -> None:
    data = make()
    sides = [{data.clip_ids[i].split("#")[0] for i in part} for part in data.splits[:2]]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 12
    assert len(sides[1]) == 2  # 20 % of 12
    other = make(split_seed=1)
    assert other.splits.val != data.splits.val
    assert make(seed=9).splits == data.splits


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_and_repeat(make: Make, workers: int) -> None:
    def noise(batch: Any, generator: torch.Generator) -> Any:
        batch["waveform"] += torch.randn(batch["waveform"].shape, generator=generator)
        return batch

    data, same = (make(num_workers=n, waveform_augmentation=noise) for n in (workers, 0))
    for epoch in (1, 0):
        first, second = _epoch(data, epoch), _epoch(same, epoch)
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(_epoch(same, 0)["waveform"], _epoch(same, 1)["waveform"])
    assert not torch.equal(_epoch(same, 0)["waveform"], _epoch(make(seed=5), 0)["waveform"])
    quiet = next(iter(data.val_dataloader()))["waveform"]
    assert float(quiet.std()) < 0.2  # noise would have 1


def test_validation_windows_are_fixed_and_central(make: Make, miniature: Path) -> None:
    data = make(val_share=0.5)
    first, second = (list(data.val_dataloader()) for _ in range(2))
    assert all(
        torch.equal(a["waveform"], b["waveform"]) for a, b in zip(first, second, strict=True)
    )
    paths = {path.name: path for path in miniature.rglob("*.ogg")}
    for batch in first:
        for index, window in zip(batch["index"].tolist(), batch["waveform"], strict=True):
            whole, _ = soundfile.read(paths[data.clip_ids[index].split("#")[0]], dtype="float32")
            if len(whole) > 5 * RATE:  # the centre of the first 8 s starts at 1.5 s
                expected = torch.from_numpy(whole[round(1.5 * RATE) :][: 5 * RATE])
                assert torch.equal(window, expected)


def test_test_clips(make: Make, miniature: Path) -> None:
    data = make("test")
    (first, second) = list(data.test_dataloader())
    assert data.clip_ids[1] == "Recording_1_Segment_03_005_010.ogg"
    assert first["index"].tolist() + second["index"].tolist() == [0, 1, 2, 3, 4]
    assert torch.cat([first["target"], second["target"]]).tolist() == [
        [0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0],
    ]  # fmt: skip
    assert not second["waveform"][0, 2 * RATE :].any()
    assert second["waveform"][0, : 2 * RATE].any()
    # A start of 1 s is a start; one that is not a number is none.
    paths = {path.name: path for path in miniature.rglob("*.ogg")}
    for row, start in ((2, 0), (3, 1)):
        whole, _ = soundfile.read(paths[data.clip_ids[row]], dtype="float32")
        window = first["waveform"][row].numpy()
        np.testing.assert_array_equal(window[: (5 - start) * RATE], whole[start * RATE :])


def test_test_clips_keep_their_index_without_training_data(make: Make, miniature: Path) -> None:
    both = make("fit").clip_ids
    training = make("fit")
    windows = _epoch(training, 0)
    for path in miniature.glob("*_test*"):
        path.unlink()
    alone = make("fit")
    assert both[:5] + alone.clip_ids == both
    # Random windows do not shift either, although the index does.
    again = _epoch(alone, 0)
    assert torch.equal(windows["waveform"], again["waveform"])
    assert torch.equal(windows["index"] - 5, again["index"])


def test_test_needs_no_training_data(make: Make, miniature: Path) -> None:
    for path in miniature.glob("*_train*"):
        path.unlink()
    assert len(list(make("test").test_dataloader())) == 2


@pytest.mark.parametrize("layout", ["unpacked before", "files in root", "archives deleted"])
def test_shard_or_file_is_the_same(make: Make, miniature: Path, layout: str) -> None:
    expected = _epoch(make(), 0)
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
    found = _epoch(make(root=str(root)), 0)
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


def test_label_space(make: Make, miniature: Path, tmp_path: Path) -> None:
    more = ["other1", "midowl", "zebdov", "other2", "abcwar1"]
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(more))}))
    data = make("test", label_space=str(tmp_path / "config.json"))
    assert data.target_names == more
    assert data.class_codes == CODES
    assert data.class_mask == [2, 4, 1]
    own = torch.cat([batch["target"] for batch in make("test").test_dataloader()])
    wide = torch.cat([batch["target"] for batch in data.test_dataloader()])
    assert torch.equal(wide[:, data.class_mask], own)
    assert wide.sum() == own.sum()
    assert make("test").class_mask is None
    with pytest.raises(FileNotFoundError, match=r"XCL_ebird_codes\.json"):
        make("test", label_space="XCL")


def test_class_list_from_the_tables(make: Make, miniature: Path) -> None:
    (miniature / "MIN_ebird_codes.json").unlink()
    with pytest.warns(UserWarning, match="alphabetical"):
        assert make("test").target_names == sorted(CODES)


def test_species_outside_of_the_class_list(make: Make, miniature: Path) -> None:
    labels = {"id2label": {"0": "zebdov", "1": "abcwar1"}}
    (miniature / "MIN_ebird_codes.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match=r"1 species .* class list of 2: midowl"):
        make("test")


def test_xcm_trains_on_all_and_validates_on_pow(make: Make, miniature: Path) -> None:
    root = miniature.parent
    shutil.copytree(miniature, root / "XCM")
    shutil.copytree(miniature, root / "POW")
    for path in [*(root / "XCM").iterdir(), *(root / "POW").iterdir()]:
        name = path.name.replace("MIN", path.parent.name)
        if path.parent.name == "XCM":
            name = name.replace("_train", "")
        path.rename(path.with_name(name))
    data = make(name="XCM")
    assert len(data.splits.train) == 15
    assert [data.clip_ids[i][:9] for i in data.splits.val] == ["Recording"] * 5
    (first, second) = data.val_dataloader()
    assert (first["target"].sum() + second["target"].sum()) == 5
    with pytest.raises(ValueError, match="XCM has no test clips"):
        make("test", name="XCM")


class Recorder(LightningModule):
    """Keeps the batches that reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = PowerLogMel()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, dict[str, Tensor]]] = []

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.seen.append(("train", batch))
        return self.weight.sum()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.seen.append(("val", batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def _run(data: BirdSetDataModule, epochs: int = 1) -> Recorder:
    module = Recorder()
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False}
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data)
    return module


def test_spectrograms_come_from_the_models_fitted_front_end(make: Make) -> None:
    module = _run(make(None, stream="both", frontend=None))
    assert bool(module.frontend.fitted)
    stages = {stage for stage, _ in module.seen}
    assert stages == {"train", "val"}
    values = []
    for stage, batch in module.seen:
        expected = module.frontend(batch["waveform"])
        torch.testing.assert_close(batch["spectrogram"], expected)
        values += [batch["spectrogram"]] if stage == "train" else []
    assert abs(float(torch.cat(values).mean())) < 0.2
    only = _run(make(None, stream="spectrogram", frontend=None)).seen[0][1]
    assert set(only) == {"spectrogram", "target", "index"}
    assert set(_run(make(None, frontend=None)).seen[0][1]) == {"waveform", "target", "index"}


def test_power_is_augmented_while_training_only(make: Make) -> None:
    drawn: list[float] = []

    def mask(power: Tensor, generator: torch.Generator) -> Tensor:
        assert power.shape[1] == 129
        drawn.append(float(torch.rand(1, generator=generator)))
        return power * 100  # plus 20 dB

    settings: dict[str, Any] = {"stream": "both", "spectrogram_augmentation": mask}
    module = _run(make(None, frontend=None, **settings), epochs=2)
    for stage, batch in module.seen:
        shift = (batch["spectrogram"] - module.frontend(batch["waveform"])) * module.frontend.std
        wanted = torch.full_like(shift, 20.0 if stage == "train" else 0.0)
        torch.testing.assert_close(shift, wanted, atol=2e-3, rtol=0)
    assert len(set(drawn)) == len(drawn) == sum(stage == "train" for stage, _ in module.seen)
    again = list(drawn)
    drawn.clear()
    _run(make(None, frontend=None, **settings), epochs=2)
    assert drawn == again


class Louder:
    """An augmentation that a configuration can name."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, power: Tensor, generator: torch.Generator) -> Tensor:
        return power * self.factor


@pytest.mark.parametrize("name", ["birdset", "bc6"])
def test_configurations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYEAR_DATA", "somewhere")
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    louder = {"class_path": f"{__name__}.Louder", "init_args": {"factor": 2.0}}
    config["init_args"]["spectrogram_augmentation"] = louder
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(BirdDataModule, "data")
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, BirdSetDataModule)
    assert data.spectrogram_augmentation.factor == 2.0


def test_settings_are_checked(make: Make) -> None:
    for wrong in ({"class_limit": 0}, {"val_share": 1.0}, {"batch_size": 0}, {"window_seconds": 0}):
        with pytest.raises(ValueError, match=r"must be|needs"):
            make(None, **wrong)
    with pytest.raises(RuntimeError, match="setup"):
        make(None).train_dataloader()


@pytest.fixture
def real(shared_data: Path, tmp_path: Path) -> Callable[[str], BirdSetDataModule]:
    """Real data through links, so that nothing is written beside it."""

    def build(name: str) -> BirdSetDataModule:
        (tmp_path / name).mkdir()
        for path in (shared_data / "birdset_layout" / name).glob("*_*.*"):
            (tmp_path / name / path.name).symlink_to(path)
        return BirdSetDataModule(name, str(tmp_path), stream="waveform", batch_size=64)

    return build


@pytest.mark.parametrize(
    ("name", "recordings", "classes", "clips", "no_calls"),
    [("BC6", 114, 6, 120, 29), ("NBM", 107, 18, 94, 9)],
)
def test_real_data(
    real: Callable[[str], BirdSetDataModule],
    name: str,
    recordings: int,
    classes: int,
    clips: int,
    no_calls: int,
) -> None:
    data = real(name)
    data.prepare_data()
    data.setup("fit")
    training = {data.clip_ids[i].split("#")[0] for i in data.splits.train}
    validation = {data.clip_ids[i].split("#")[0] for i in data.splits.val}
    assert len(training | validation) == recordings
    assert not training & validation
    assert len(data.target_names) == classes
    batch = next(iter(data.train_dataloader()))
    assert batch["waveform"].shape == (64, 160000)
    assert bool(batch["waveform"].any(1).all())
    data.setup("test")
    batches = list(data.test_dataloader())
    target = torch.cat([batch["target"] for batch in batches])
    assert target.shape == (clips, classes)
    assert int((target.sum(1) == 0).sum()) == no_calls
    assert (target.sum(1) > 1).any() == (name == "NBM")
