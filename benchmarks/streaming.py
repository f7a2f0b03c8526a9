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
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
import torch

from steadyear.datamodules.sources.audio_files import read_mono
from steadyear.datamodules.sources.bird_clips import BirdClips, BirdDataset
from steadyear.datamodules.sources.windows import WindowRule, read_window
from steadyear.lightning_modules import BirdSetLogMel, ConvNeXt, ConvNeXtHead, MultiLabelModule

FILES = 24
SECONDS = 60
RATE = 32000
WINDOW = 5
BATCH = 16
CLASSES = 21
MEASURED_SECONDS = 4.0

LOADER = "batches of the data module"
SMALL = "training step of a small ConvNeXt"
BASE = "training step of ConvNeXt-Base"


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
        [(number % CLASSES,) for number in range(FILES)],
    )
    files = dict(zip(names, paths, strict=True))
    dataset = BirdDataset(clips, range(FILES), files, WindowRule(), RATE, CLASSES, random=True)
    for epoch in cycle(range(1000)):
        batch = dataset.__getitems__([(epoch, position) for position in range(BATCH)])
        yield len(batch["waveform"])


def small_model() -> MultiLabelModule:
    """The ConvNeXt of configs/model/convnext_small.yaml, with the front end of BirdSet."""
    network = ConvNeXt(depths=(1, 1, 2, 1), hidden_sizes=(16, 32, 64, 128))
    return MultiLabelModule(network, partial(ConvNeXtHead, num_classes=CLASSES), BirdSetLogMel())


def base_model() -> MultiLabelModule:
    """The published ConvNeXt-Base of BirdSet."""
    return MultiLabelModule(ConvNeXt(), partial(ConvNeXtHead, num_classes=CLASSES), BirdSetLogMel())


def by_training(make: Callable[[], MultiLabelModule], batch: int) -> Iterator[int]:
    """Front end, forward and backward pass of a model; the optimiser costs less than either."""
    model = make()
    waveform = 0.1 * torch.randn(batch, WINDOW * RATE)
    target = torch.zeros(batch, CLASSES)
    target[:, 0] = 1.0
    while True:
        model.zero_grad()
        model.loss(model(waveform), {"target": target}).backward()
        yield batch


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
            LOADER: clips_per_second(lambda: by_loader(paths)),
            "front end": clips_per_second(by_front_end),
            SMALL: clips_per_second(lambda: by_training(small_model, BATCH)),
            BASE: clips_per_second(lambda: by_training(base_model, 2)),
        }
    for name, figure in result.items():
        print(f"{name:<34} {figure:8.1f} clips/s per core")
    faster = result["window by seeking"] / result["window by decoding the file"]
    print(f"seeking is {faster:.1f} times faster in files of {SECONDS} s")
    for need in (SMALL, BASE):
        cores = result[LOADER] / result[need]
        print(f"a core that loads feeds {cores:.1f} cores for the {need}")
    rounded = {name: round(figure, 1) for name, figure in result.items()}
    Path("streaming.json").write_text(
        json.dumps({**rounded, "seeking over decoding": round(faster, 1)}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
