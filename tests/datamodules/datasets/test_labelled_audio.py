from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steadyear.datamodules import LabelledAudio

FOLDS = {"train": ["1", "2"], "val": ["3"], "test": ["4"]}


@pytest.fixture
def labelled(tmp_path: Path, write_tone: Callable[..., Path]) -> Callable[..., LabelledAudio]:
    """Eight tones of two kinds in four folds; arguments override."""
    lines = ["filename,fold,kind"]
    for i in range(8):
        write_tone(f"{i}.wav", seconds=1.5)
        lines.append(f"{i}.wav,{i % 4 + 1},{('wren', 'dog')[i % 2]}")
    (tmp_path / "table.csv").write_text("\n".join(lines))

    def make(**kwargs: Any) -> LabelledAudio:
        defaults: dict[str, Any] = {
            "audio_dir": str(tmp_path / "audio"),
            "table": str(tmp_path / "table.csv"),
            "label_column": "kind",
            "stream": "waveform",
            "cache_dir": str(tmp_path / "cache"),
        }
        return LabelledAudio(**{**defaults, **kwargs})

    return make


def test_classes_are_numbered_in_alphabetical_order(labelled: Callable[..., LabelledAudio]) -> None:
    data = labelled()
    assert data.target_names == ["dog", "wren"]
    assert data.clips.targets.tolist() == [1, 0] * 4
    assert labelled(classes=["wren", "cat", "dog"]).clips.targets.tolist() == [0, 2] * 4


def test_folds_are_divided_as_stated(labelled: Callable[..., LabelledAudio]) -> None:
    data = labelled(split_column="fold", split_values=FOLDS)
    assert data.split_clips() == ([0, 1, 4, 5], [2, 6], [3, 7])
    assert sum(map(len, labelled(split=(0.5, 0.25, 0.25)).split_clips())) == 8


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "class": ({"classes": ["wren"]}, r"'kind'.*not in classes: dog"),
    "part": ({"split_column": "fold", "split_values": {"trian": ["1"]}}, "trian"),
    "fold": ({"split_column": "fold", "split_values": {"train": ["1"]}}, r"\['2', '3', '4'\]"),
    "column": ({"label_column": "class"}, "no column 'class'"),
    "names": ({"split_column": "fold"}, "train, val and test only"),
}


@pytest.mark.parametrize(("settings", "word"), WRONG.values(), ids=WRONG.keys())
def test_wrong_settings_name_the_cure(
    labelled: Callable[..., LabelledAudio], settings: dict[str, Any], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        labelled(**settings)
