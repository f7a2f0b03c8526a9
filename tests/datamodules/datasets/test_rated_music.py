from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steadyear.datamodules import RatedMusic
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank

Make = Callable[..., RatedMusic]


@pytest.fixture
def music(tmp_path: Path, write_tone: Callable[..., Path], block_means: Callable[..., Any]) -> Make:
    """Ten tones and their ratings; arguments override."""
    lines = ["number,energy,melody,fold"]
    for i in range(10):
        write_tone(f"{i:03d}.wav", seconds=1.5, level=0.05 * (i + 1))
        lines.append(f"{i:03d},{i},{10 - i},{'train' if i < 7 else 'test'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))

    def make(**kwargs: object) -> RatedMusic:
        defaults: dict[str, Any] = {
            "audio_dir": str(tmp_path / "audio"),
            "ratings": str(tmp_path / "table.csv"),
            "target_columns": ["energy"],
            "file_pattern": "{id}.wav",
            "frontend": block_means(0.0, 1.0),
            "excerpt_seconds": 1.0,
            "cache_dir": str(tmp_path / "cache"),
        }
        return RatedMusic(**{**defaults, **kwargs})

    return make


def test_ratings_concepts_and_names(music: Make) -> None:
    module = music(concept_columns=["melody"], target_scale=10, concept_scale=2.0)
    assert (module.target_names, module.concept_names) == (["energy"], ["melody"])
    assert module.clip_ids[:2] == ["000", "001"]
    module.prepare_data()
    module.setup("fit")
    batch = next(iter(module.train_dataloader()))
    index = batch["index"].float()
    torch.testing.assert_close(batch["target"][:, 0], index / 10)
    torch.testing.assert_close(batch["concepts"][:, 0], (10 - index) / 2)


def test_levels_are_normalised_to_the_peak(music: Make) -> None:
    # Resampling to 1000 Hz takes a fifth of a tone at 440 Hz away.
    for normalize, expected in (("peak", 1.0), ("none", 0.04)):
        module = music(stream="waveform", normalize=normalize, split=(1, 0, 0))
        module.prepare_data()
        module.setup("fit")
        peak = module.train_dataloader().dataset[module.splits.train.index(0)]["waveform"].max()
        assert float(peak) == pytest.approx(expected, rel=0.05)


def test_runs_share_a_split_whatever_their_seed(music: Make) -> None:
    assert music(seed=0).split_clips() == music(seed=1).split_clips()
    assert music(split_seed=0).split_clips() != music(split_seed=1).split_clips()


def test_split_column(music: Make) -> None:
    split = music(split_column="fold").split_clips()
    assert (split.train, split.val, split.test) == (list(range(7)), [], [7, 8, 9])


def test_all_bad_files_are_reported_together(music: Make, tmp_path: Path) -> None:
    (tmp_path / "audio" / "003.wav").unlink()
    (tmp_path / "audio" / "005.wav").write_bytes(b"noise")
    module = music()
    with pytest.raises(ValueError, match="2 of 10 clips") as caught:
        module.prepare_data()
    assert "003.wav: file not found" in str(caught.value)
    assert "005.wav: unreadable" in str(caught.value)
    assert "on_bad_file" in str(caught.value)
    skipping = music(on_bad_file="skip")
    with pytest.warns(UserWarning, match=r"003\.wav"):
        skipping.setup("fit")
    assert sum(map(len, skipping.splits)) == 8


def test_changed_file_is_read_again(music: Make, write_tone: Callable[..., Path]) -> None:
    first = music(normalize="none", split=(1, 0, 0))
    first.setup("fit")
    write_tone("000.wav", seconds=2.5, level=0.9)
    second = music(normalize="none", split=(1, 0, 0))
    second.setup("fit")
    shapes = [m._spectrograms.load(0).shape for m in (first, second)]
    assert shapes == [(15, 2), (25, 2)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"audio_dir": "${NO_SUCH_VARIABLE}/audio"}, "NO_SUCH_VARIABLE"),
        ({"audio_dir": "no/such/folder"}, "no/such/folder"),
        ({"ratings": "no_such.csv"}, "no_such.csv"),
        ({"target_columns": []}, "at least one"),
        ({"target_columns": ["joy"]}, "no column 'joy'.*energy"),
        ({"file_pattern": "{name}.wav"}, "{id}.ogg"),
        ({"file_pattern": "clip.wav"}, "several clips one file"),
        ({"target_scale": 0}, "positive"),
        ({"split_column": "melody"}, "train, val and test only"),
    ],
)
def test_wrong_settings_are_named(music: Make, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        music(**wrong)


EMOTIFY = ["amazement", "solemnity", "tenderness", "nostalgia", "calmness"]
EMOTIFY += ["power", "joyful_activation", "tension", "sadness"]


def test_emotify_as_published(shared_data: Path, tmp_path: Path) -> None:
    """All 400 rows are read; a few clips are decoded."""
    folder = shared_data / "emotify"
    table = tmp_path / "few.csv"
    lines = (folder / "mean_ratings_emotify.csv").read_text().splitlines()
    table.write_text("\n".join([lines[0], *lines[1:5], *lines[150:154]]))
    settings = {"audio_dir": str(folder / "audio"), "target_columns": EMOTIFY}
    full = RatedMusic(ratings=str(folder / "mean_ratings_emotify.csv"), **settings)
    assert len(full.clip_ids) == 400
    assert [len(part) for part in full.split_clips()] == [320, 40, 40]
    few = RatedMusic(
        ratings=str(table), frontend=LogFilterbank(mean=0.0, std=1.0), cache_dir=str(tmp_path / "cache"),
        split=(0.5, 0.25, 0.25), batch_size=4, **settings,
    )  # fmt: skip
    few.prepare_data()
    few.setup("fit")
    batch = next(iter(few.train_dataloader()))
    assert batch["spectrogram"].shape == (4, 1, 313, 149)
    assert batch["target"].shape == (4, 9)
    assert 0 <= float(batch["target"].min()) <= float(batch["target"].max()) <= 1
    assert abs(float(batch["spectrogram"].mean())) < 0.5


def test_label_deviation_is_that_of_the_training_clips(music: Make) -> None:
    data = music(target_columns=["energy", "melody"])
    data.setup("fit")
    assert data.splits is not None
    labels = data.clips.targets[data.splits.train].double().numpy()
    assert len(labels) < 10
    assert data.label_deviation == pytest.approx(labels.std(0).mean(), rel=1e-5)
