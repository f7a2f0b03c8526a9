"""Ramps instead of music, each value of which tells the clip and the moment; BirdSet in miniature."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from steadyear.datamodules import BirdSetDataModule
from steadyear.datamodules.bases.audio import AudioDataModule
from steadyear.datamodules.sources.base import AudioProblemError, AudioSource
from steadyear.datamodules.sources.clips import RatedClips
from steadyear.datamodules.tables.splits import Splits, random_splits
from steadyear.lightning_modules.frontends.base import Frontend, Setting
from tests.datamodules.birdset_miniature import Make, PowerLogMel, write_miniature


class BlockMeans(Frontend):
    """Mean and negative mean of blocks of 100 samples, shape (frames, 2)."""

    time_dim: ClassVar[int] = -2
    hop = 100.0

    @property
    def settings(self) -> dict[str, Setting]:
        return {"block": 100}

    def analyse(self, waveform: Tensor) -> Tensor:
        means = waveform.unfold(-1, 100, 100).mean(-1)
        return torch.stack([means, -means], dim=-1)

    def num_frames(self, num_samples: int) -> int:
        return num_samples // 100


class Ramps(AudioSource):
    """Clip i rises from i/100 by 1e-6 a sample; 2 s long, but for clip 1 of 0.3 s."""

    def __init__(self, count: int, bad: set[int]) -> None:
        self.clip_ids = [f"ramp{i}" for i in range(count)]
        self.bad = bad
        self.loaded: list[int] = []

    def identity(self, clip: int) -> str:
        return f"ramp {clip}"

    def load(self, clip: int, sample_rate: int) -> Tensor:
        if clip in self.bad:
            raise AudioProblemError(self.clip_ids[clip], "bad on purpose")
        self.loaded.append(clip)
        seconds = 0.3 if clip == 1 else 2
        return clip / 100 + 1e-6 * torch.arange(round(seconds * sample_rate), dtype=torch.float64)


class RampModule(AudioDataModule):
    def __init__(self, count: int = 20, bad: set[int] | None = None, **kwargs: object) -> None:
        targets = torch.arange(count, dtype=torch.float32)[:, None]
        super().__init__(RatedClips(Ramps(count, bad or set()), targets, ["rank"]), **kwargs)

    def split_clips(self) -> Splits:
        return random_splits(len(self.clip_ids), (0.6, 0.2, 0.2), self.seed)


@pytest.fixture
def ramp_source() -> Callable[..., Ramps]:
    return Ramps


@pytest.fixture
def block_means() -> Callable[..., BlockMeans]:
    """Makes front ends at 1000 Hz, ten frames a second."""
    return lambda mean=None, std=None: BlockMeans(1000, mean, std)


@pytest.fixture
def ramp_module(tmp_path: Path) -> Callable[..., RampModule]:
    def make(**kwargs: object) -> RampModule:
        defaults = {
            "frontend": BlockMeans(1000),
            "excerpt_seconds": 1.0,
            "batch_size": 4,
            "cache_dir": str(tmp_path / "cache"),
        }
        return RampModule(**{**defaults, **kwargs})

    return make


@pytest.fixture
def write_tone(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sine of a given level, with silence around it."""

    def write(name: str, seconds: float = 1.0, level: float = 0.5, rate: int = 8000) -> Path:
        time = np.arange(round(seconds * rate)) / rate
        tone = level * np.sin(2 * np.pi * 440 * time)
        path = tmp_path / "audio" / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.concatenate([np.zeros(800), tone, np.zeros(800)]), rate)
        return path

    return write


@pytest.fixture(scope="session")
def birdset_original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set MIN as it was written, which no test may change."""
    folder = tmp_path_factory.mktemp("birdset") / "MIN"
    write_miniature(folder)
    return folder


@pytest.fixture
def miniature(birdset_original: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(birdset_original, tmp_path / "root" / "MIN"))


@pytest.fixture
def make(miniature: Path, tmp_path: Path) -> Make:
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
