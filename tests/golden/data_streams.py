"""Data: order, excerpts, windows, augmentation, splits, sounds that are made, and corruptions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from steadyear.callbacks import (
    CorruptionEvaluation,
)
from steadyear.datamodules import BirdFolderDataModule, ConceptNoise, SyntheticMusic
from steadyear.datamodules.datasets.birdset.events import Events, limit_events
from steadyear.datamodules.datasets.synthetic_birds.data_module import SyntheticBirdClips
from steadyear.datamodules.datasets.synthetic_music.data_module import SyntheticClips
from steadyear.datamodules.sampler import EpochSampler
from steadyear.datamodules.sources.bird_clips import batch_generator
from steadyear.datamodules.sources.clips import ExcerptRule
from steadyear.datamodules.sources.excerpts import fixed_start, random_start
from steadyear.datamodules.tables.recording_splits import stratified_parts
from steadyear.datamodules.tables.splits import random_splits
from steadyear.datamodules.transforms.augmentation import (
    Chain,
    MultilabelMix,
    NoCall,
    PerClip,
    SpectrogramMasking,
)
from steadyear.datamodules.transforms.corruptions import AUDIO_C
from steadyear.lightning_modules.frontends import LogMel
from tests.golden.streams import RATE, Linear, quiet, seeded, some, sounding, stream

# Data: order, excerpts, windows, augmentation, splits, and sounds that are made.


@stream
def order_of_clips(_folder: Path) -> Any:
    found = {}
    for seed, epoch in ((0, 0), (0, 1), (7, 3)):
        sampler = EpochSampler(12, seed)
        sampler.set_epoch(epoch)
        found[f"seed {seed}, epoch {epoch}"] = [position for _, position in sampler]
    return found


@stream
def starts_of_excerpts(_folder: Path) -> Any:
    keys = ((0, 0, 0), (0, 0, 1), (0, 1, 0), (3, 2, 17))
    moving = ExcerptRule(1.0, RATE, None, seed=3, random=True)
    fixed = ExcerptRule(1.0, RATE, None, seed=3, fixed_seed=42)
    return {
        "random": [random_start(1_000_000, 10, *key) for key in keys],
        "fixed": [fixed_start(1_000_000, 10, 42, clip) for clip in (0, 1, 2, 99)],
        "rule, random": [moving.start(500_000, 4, clip) for clip in range(3)],
        "rule, fixed": [fixed.start(500_000, 4, clip) for clip in range(3)],
    }


@stream
def numbers_of_bird_batches(_folder: Path) -> Any:
    def drawn(*clips: int, seed: int = 0, epoch: int = 0, first: int = 0, purpose: int = 0) -> Any:
        batch: Any = {"index": torch.tensor(clips)}
        return torch.rand(2, generator=batch_generator(seed, epoch, batch, first, purpose))

    return {
        "plain": drawn(0, 1, 2),
        "other clips": drawn(2, 1, 0),
        "seed": drawn(0, 1, 2, seed=3),
        "epoch": drawn(0, 1, 2, epoch=5),
        "first": drawn(10, 11, 12, first=10),
        "purpose": drawn(0, 1, 2, purpose=1),
    }


class Heard(Linear):
    """Notes the batches that it is trained on."""

    def __init__(self) -> None:
        super().__init__(1)
        self.frontend = LogMel(256, 128, 16, sample_rate=RATE, mean=0.0, std=1.0)
        self.seen: list[list[Any]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        first = (batch["waveform"][:, 0] * 10 * RATE).round().int()
        self.seen.append([batch["index"].tolist(), first.tolist()])
        return self.net.weight.sum()


def ramp(path: Path, seconds: float) -> None:
    """A recording whose samples say where they are, one step of 1 / 80000 each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(round(seconds * RATE), dtype=np.float32) / (10 * RATE)
    soundfile.write(path, values, RATE, subtype="FLOAT")


@stream
def training_on_birds(folder: Path) -> Any:
    rows = ["primary_label,secondary_labels,type,filename"]
    for i in range(10):
        name = f"{'ab'[i % 2]}/XC{i}.wav"
        ramp(folder / "train_audio" / name, 9.0)
        rows.append(f"{'ab'[i % 2]},[],['song'],{name}")
    (folder / "train_metadata.csv").write_text("\n".join(rows) + "\n")
    drawn: dict[str, list[float]] = {"waveforms": [], "spectrograms": []}

    def waveforms(batch: Any, generator: torch.Generator) -> Any:
        drawn["waveforms"].append(float(torch.rand((), generator=generator)))
        return batch

    def spectrograms(power: Tensor, generator: torch.Generator) -> Tensor:
        drawn["spectrograms"].append(float(torch.rand((), generator=generator)))
        return power

    data = BirdFolderDataModule(
        str(folder),
        stream="both",
        window_seconds=1.0,
        batch_size=3,
        seed=4,
        waveform_augmentation=waveforms,
        spectrogram_augmentation=spectrograms,
    )
    module = Heard()
    data.frontend = module.frontend
    quiet(folder).fit(module, data)
    assert data.splits is not None
    # Of every batch: its clips, and the sample at which each window begins.
    return {"splits": list(data.splits), "batches": module.seen, **drawn}


@stream
def augmentation(folder: Path) -> Any:
    ramp(folder / "quiet" / "a.wav", 3.0)
    ramp(folder / "quiet" / "b.wav", 2.0)
    waves = torch.linspace(0, 60, 4 * 100).sin().reshape(4, 100)
    batch: Any = {"waveform": waves, "target": torch.eye(4), "index": torch.arange(4)}

    def shaken(clip: Any, _rate: int) -> Any:
        return clip + np.float32(random.random()) + np.float32(10 * np.random.rand())

    mix, alone = MultilabelMix(p=0.9, max_partners=2), PerClip(shaken, RATE)
    calm = NoCall(str(folder / "quiet"), p=0.6, sample_rate=RATE)
    found = {
        "mix": heard(mix, batch),
        "per clip": heard(alone, batch),
        "no call": heard(calm, batch),
        "chain": heard(Chain([calm, mix, alone]), batch),
    }
    masks = SpectrogramMasking(20, 1.0, 10, 1.0)(torch.ones(3, 60, 40), seeded(9))
    found["masked"] = [(60 - masks.amax(2).sum(1)).int(), (40 - masks.amax(1).sum(1)).int()]
    found["first masked"] = [masks.amax(2).argmin(1), masks.amax(1).argmin(1)]
    return found


def heard(part: Any, batch: Any) -> list[Any]:
    """What an augmentation makes of a batch: a few samples, and the labels."""
    changed = part(batch, seeded(9))
    return [[some(clip, 3) for clip in changed["waveform"]], changed["target"].int()]


@stream
def splits(_folder: Path) -> Any:
    strata = {f"XC{i}": "abc"[i % 3] for i in range(14)}
    recording = np.repeat(np.arange(5), [6, 1, 4, 3, 2])
    zeros = np.zeros(len(recording))
    events = Events(
        recording, np.arange(len(recording)), np.stack([zeros, zeros + 1], 1), recording
    )
    return {
        "random": [list(part) for part in random_splits(13, (0.6, 0.2, 0.2), 42)],
        "stratified": list(stratified_parts(strata, (0.6, 0.2, 0.2), 42).values()),
        "events": limit_events(events, list("aabab"), 5, 2, 42).number,
    }


@stream
def wrong_concepts(_folder: Path) -> Any:
    concepts = torch.arange(12.0).reshape(6, 2)
    names = [f"clip{i}" for i in range(6)]
    return {
        "shuffled": ConceptNoise(shuffle=0.7).apply(concepts, [0, 1, 2, 4, 5], names, 3),
        "noisy": ConceptNoise(sigma=0.5).apply(concepts, [0, 1, 2, 4, 5], names, 3),
    }


@stream
def synthetic_music(_folder: Path) -> Any:
    source = SyntheticClips((2, 1, 2), 7, shortcut=0.0)
    return {
        source.clip_ids[clip]: {
            "concepts": source.concepts(clip),
            "ratings": source.ratings(clip, 0.1),
            "sound": sounding(source.load(clip, RATE)),
        }
        for clip in (0, 2, 4)
    }


@stream
def shortcut_of_synthetic_music(_folder: Path) -> Any:
    # The cue of a test clip follows the emotions of another, made-up clip.
    plain_clip, cued = (
        SyntheticClips((1, 1, 1), 7, shortcut).load(2, 22050) for shortcut in (0.0, 0.01)
    )
    return some((cued - plain_clip) * 100, 8)


@stream
def synthetic_birds(_folder: Path) -> Any:
    source = SyntheticBirdClips((2, 1, 3), 7)
    return {
        source.clip_ids[clip]: {
            "labels": source.labels(clip).int(),
            "sound": sounding(source.load(clip, RATE)),
        }
        for clip in (0, 2, 3, 4, 5)
    }


@stream
def order_and_excerpts_of_a_data_module(folder: Path) -> Any:
    data = SyntheticMusic(
        (5, 1, 1),
        7,
        stream="waveform",
        excerpt_seconds=1.0,
        seed=3,
        batch_size=2,
        cache_dir=str(folder),
    )
    data.prepare_data()
    data.setup("fit")
    loader, found = data.train_dataloader(), []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        found += [[batch["index"], sounding(batch["waveform"].flatten())] for batch in loader]
    return found


@stream
def generator_of_a_loader(folder: Path) -> Any:
    data = SyntheticMusic((2, 1, 1), 7, stream="waveform", seed=3, cache_dir=str(folder))
    data.prepare_data()
    data.setup("fit")
    return torch.rand(3, generator=data.train_dataloader().generator)


# Corruptions: of audio-C, and of an evaluation.


@stream
def corruptions(_folder: Path) -> Any:
    clip = 0.3 * torch.linspace(0, 900, 4000).sin()
    return {
        name: [sounding(corrupt(clip, RATE, severity, seeded(3))) for severity in (1, 5)]
        for name, corrupt in AUDIO_C.items()
    }


@stream
def corrupted_clips_of_an_evaluation(folder: Path) -> Any:
    found: dict[str, float] = {}

    def noted(name: str) -> Any:
        def corrupt(clip: Tensor, rate: int, severity: int, generator: torch.Generator) -> Tensor:
            drawn = float(torch.rand((), generator=generator))
            found[f"{name} {severity}, clip {round(float(clip[0]))}"] = drawn
            return clip + drawn

        return corrupt

    clips = [
        {"waveform": torch.full((8,), float(i)), "target": torch.zeros(2), "index": torch.tensor(i)}
        for i in (4, 5, 99)
    ]
    evaluation = CorruptionEvaluation(
        {"wind": noted("wind"), "rain": noted("rain")}, (1, 2), sample_rate=RATE, seed=2
    )
    quiet(folder, evaluation).test(Linear(8, 2), DataLoader(clips, batch_size=2), verbose=False)
    return dict(sorted(found.items()))
