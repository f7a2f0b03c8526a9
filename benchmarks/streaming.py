"""What it costs to read training windows: seeking, whole files, and a model's need.

Run: python benchmarks/streaming.py
Writes 60 s OGG files of noise bursts into a temporary folder, prints a table, and writes
streaming.json into the working directory. All figures are clips per second of processor time, so
that other work on the machine changes them little.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from datamodules.audio_files import read_mono
from datamodules.bird_clips import BirdClips, BirdDataset
from datamodules.bird_windows import WindowRule, read_window
from lightning_modules import BirdSetLogMel

FILES = 24
SECONDS = 60
RATE = 32000
WINDOW = 5
BATCH = 16
MEASURED_SECONDS = 4.0


def write_recordings(folder: Path) -> list[Path]:
    """Noise whose level rises and falls, like calls in front of wind."""
    rng = np.random.default_rng(0)
    moments = np.arange(SECONDS * RATE) / RATE
    paths = []
    for number in range(FILES):
        level = 0.02 + 0.2 * np.clip(np.sin(2 * np.pi * moments / rng.uniform(1, 4)), 0, 1)
        path = folder / f"{number}.ogg"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for block in np.array_split(level * rng.standard_normal(len(moments)), SECONDS):
                file.write(block)  # libsndfile's encoder fails on one long block
        paths.append(path)
    return paths


def by_seeking(paths: list[Path]) -> Iterator[int]:
    """Read only the window."""
    rng = np.random.default_rng(1)
    for path in cycle(paths):
        start = float(rng.uniform(0, SECONDS - WINDOW))
        read_window(path, lambda _, at=start: (at, at + WINDOW), WINDOW, RATE)
        yield 1


def by_decoding(paths: list[Path]) -> Iterator[int]:
    """Read the whole file, as the data modules for music do, and cut the window."""
    rng = np.random.default_rng(1)
    for path in cycle(paths):
        whole = read_mono(path, RATE)
        first = int(rng.integers(len(whole) - WINDOW * RATE))
        whole[first : first + WINDOW * RATE].clone()
        yield 1


def by_loader(paths: list[Path]) -> Iterator[int]:
    """Read batches with targets, as the data modules do."""
    names = [path.name for path in paths]
    clips = BirdClips(
        names,
        names,
        np.full(FILES, 30.0),
        np.full(FILES, 31.0),
        np.ones(FILES, bool),
        [(number % 21,) for number in range(FILES)],
    )
    files = dict(zip(names, paths, strict=True))
    dataset = BirdDataset(clips, range(FILES), files, WindowRule(), RATE, 21, random=True)
    for epoch in cycle(range(1000)):
        batch = dataset.__getitems__([(epoch, position) for position in range(BATCH)])
        yield len(batch["waveform"])


def small_network() -> nn.Sequential:
    """A narrow network in the manner of ConvNeXt: 1.3 million weights, 21 classes."""
    layers: list[nn.Module] = [nn.Conv2d(1, 48, 4, 4)]
    for width, wider in ((48, 96), (96, 192), (192, 192)):
        layers += [
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            nn.GroupNorm(1, width),
            nn.Conv2d(width, 4 * width, 1),
            nn.GELU(),
            nn.Conv2d(4 * width, wider, 1),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, 21))


def by_training() -> Iterator[int]:
    """Front end, forward and backward pass of a small network."""
    frontend, network = BirdSetLogMel(), small_network()
    waveform = 0.1 * torch.randn(BATCH, WINDOW * RATE)
    while True:
        network(frontend(waveform)).square().mean().backward()
        yield BATCH


def by_front_end() -> Iterator[int]:
    """The front end alone."""
    frontend = BirdSetLogMel()
    waveform = 0.1 * torch.randn(BATCH, WINDOW * RATE)
    while True:
        with torch.no_grad():
            frontend(waveform)
        yield BATCH


def clips_per_second(make: Callable[[], Iterator[int]]) -> float:
    """Median of three measurements of processor time, after a step that does not count."""
    figures = []
    for _ in range(3):
        steps = make()
        next(steps)
        started, clips = time.process_time(), 0
        while time.process_time() - started < MEASURED_SECONDS / 3:
            clips += next(steps)
        figures.append(clips / (time.process_time() - started))
    return sorted(figures)[1]


def main() -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_recordings(Path(folder))
        result = {
            "window by seeking": clips_per_second(lambda: by_seeking(paths)),
            "window by decoding the file": clips_per_second(lambda: by_decoding(paths)),
            "batches of the data module": clips_per_second(lambda: by_loader(paths)),
            "front end": clips_per_second(by_front_end),
            "front end and training step of a small network": clips_per_second(by_training),
        }
    for name, figure in result.items():
        print(f"{name:<48} {figure:8.1f} clips/s per core")
    faster = result["window by seeking"] / result["window by decoding the file"]
    print(f"seeking is {faster:.1f} times faster in files of {SECONDS} s")
    rounded = {name: round(figure, 1) for name, figure in result.items()}
    Path("streaming.json").write_text(
        json.dumps({**rounded, "seeking over decoding": round(faster, 1)}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
