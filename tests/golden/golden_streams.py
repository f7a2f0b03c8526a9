"""The random numbers whose values are recorded in `random_streams.json`: one row each.

Every scheme that keys random numbers is asked through what uses it. Whole numbers are compared
exactly, others up to the rounding of single precision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from steadyear.attacks import (
    APGD,
    L1,
    L2,
    PGD,
    SNR,
    AbsoluteError,
    Attack,
    BackgroundNoise,
    CrossEntropy,
    FrequencyMask,
    Linf,
    Psychoacoustic,
    RoomImpulseResponse,
    Universal,
)
from steadyear.attacks.sanity import sanity_report
from steadyear.callbacks import (
    AdditionalStep,
    AdversarialTraining,
    CorruptionEvaluation,
    EpochSeed,
    Madry,
)
from steadyear.compare.scores.multilabel import drawn_cmap
from steadyear.compare.statistics.bootstrap import (
    score_interval,
    seed_and_clip_interval,
    seed_interval,
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
from steadyear.foundation.random_streams import RandomStreams
from steadyear.lightning_modules import A2M2E, AudioProtoPNetHead, AudioVGG, ConvNeXtHead
from steadyear.lightning_modules.frontends import LogMel
from tests.golden.golden_attacks import case

RATE = 8000
STREAMS: dict[str, Callable[[Path], Any]] = {}
"""By name: what draws the numbers, given an empty folder."""


def stream(draw: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Enter a function under its name."""
    STREAMS[draw.__name__.replace("_", " ")] = draw
    return draw


def numbers(name: str, folder: Path) -> Any:
    """The values of a row, which leaves the global random state as it was.

    Args:
        name: Name of the row.
        folder: An empty folder.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            return plain(STREAMS[name](folder))
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def plain(values: Any) -> Any:
    """Tensors and arrays as lists, with six digits: more of them are rounding."""
    if isinstance(values, dict):
        return {key: plain(each) for key, each in values.items()}
    if isinstance(values, Tensor | np.ndarray):
        return plain(values.tolist())
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [plain(each) for each in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values


def some(values: Any, count: int = 4) -> list[float]:
    """Values that are spread over a long row."""
    flat = torch.as_tensor(values).flatten()
    return flat[torch.linspace(0, len(flat) - 1, count).long()].tolist()


# Attacks: keyed by seed, member, stream and clip.


@stream
def attacks_by_clip(_folder: Path) -> Any:
    draws, like = (
        RandomStreams(5, torch.tensor([0, 7, 123_456])),
        torch.empty(3, 2, dtype=torch.float64),
    )
    ends = torch.tensor([2, 0])
    return {
        "uniform": draws.uniform(like),
        "uniform, once more": draws.uniform(like),
        "normal": draws.stream(0).normal(like),
        "per clip": draws.stream(0).uniform_per_clip(like),
        "stream 2": draws.stream(2).uniform(like),
        "of some": draws.stream(1).of(ends).uniform(like[:2]),
        "member 1 of some": draws.part(1, ends).uniform(like[:2]),
        "stream 4 of member 2 of member 1": draws.part(1, ends)
        .part(2, torch.tensor([1]))
        .stream(4)
        .uniform(like[:1]),
        "another seed": RandomStreams(6, torch.tensor([0])).uniform(like[:1]),
    }


@stream
def attacks_without_clips(_folder: Path) -> Any:
    like = torch.empty(2, 2)
    generator = torch.Generator().manual_seed(11)
    given = RandomStreams(5, generator=generator)
    return {
        "one generator": [RandomStreams(5).uniform(like), RandomStreams(5).stream(1).normal(like)],
        "a given generator": [given.uniform(like), given.stream(3).uniform(like)],
    }


@stream
def points_of_balls(_folder: Path) -> Any:
    x = torch.linspace(-1, 1, 2 * 160, dtype=torch.float64).reshape(2, 160).sin()
    index = torch.tensor([3, 4])
    balls = (
        Linf(0.1),
        L2(0.5),
        L1(2.0),
        SNR(0.1),
        FrequencyMask(RATE, [500, 2000], [-10, -20, 0], 0.5),
        Psychoacoustic(RATE, 2.0, bins=16),
    )
    return {
        type(ball).__name__: [
            [some(row) for row in ball.sample_in_ball(x, RandomStreams(1, index))],
            [some(row) for row in ball.sample_on_sphere(x, RandomStreams(1, index))],
        ]
        for ball in balls
    }


@stream
def start_of_a_universal_perturbation(_folder: Path) -> Any:
    net = nn.Linear(5, 3)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.zero_()
    attack = Universal(L2(1.0), CrossEntropy(), epochs=1, seed=2)
    return attack.fit(net, [(torch.ones(2, 5), torch.tensor([0, 1]))]).perturbation


@stream
def noise_and_rooms(_folder: Path) -> Any:
    sound = torch.linspace(0, 40, 400, dtype=torch.float64).sin()[None]
    points = torch.full((1, 2), 0.5, dtype=torch.float64)
    return {
        "noise": some(BackgroundNoise(seed=3)(sound, points[:, :1], RATE)),
        "pink noise": some(BackgroundNoise(slope_db=0.0)(sound, points[:, :1], RATE)),
        "room": some(RoomImpulseResponse(seed=3)(sound, points, RATE)),
    }


@stream
def sanity_checks(_folder: Path) -> Any:
    given, error = case("mlp", "regression"), AbsoluteError(tolerance=0.15)
    tried = {"pgd": PGD(Linf(0.38), error, steps=3), "apgd": APGD(L2(1.13), error, steps=10)}
    budgets = (0.2, 0.6)
    report = sanity_report(given.model, given.x, given.target, tried, budgets, "full")
    # That of bfloat16 is another one on every processor.
    verdicts = [each.as_json() for each in report.verdicts if each.name != "precision"]
    return {each["name"]: [each["number"], each["status"], each["value"]] for each in verdicts}


# Training: the epoch's seed, and the attacks of its batches.


@stream
def seeds_of_epochs(_folder: Path) -> Any:
    found = {}
    for seed, epoch, rank in ((0, 0, 0), (0, 1, 0), (3, 0, 1), (42, 7, 2)):
        trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
        EpochSeed(seed).on_train_batch_start(trainer, None, None, 0)
        drawn = [random.random(), float(np.random.rand()), *torch.rand(2).tolist()]
        found[f"seed {seed}, epoch {epoch}, process {rank}"] = drawn
    return found


class Start(Attack):
    """Begins somewhere in the ball, and stays there."""

    def solve(self, problem: Any, draws: RandomStreams) -> Tensor:
        found = self.ball.sample_in_ball(problem.x, draws)
        starts.append(some(found, 3))
        return found


starts: list[list[float]] = []
"""What `Start` has drawn."""


class Linear(LightningModule):
    """The smallest module that can be trained and tested."""

    def __init__(self, values: int, outputs: int = 1) -> None:
        super().__init__()
        self.net = nn.Linear(values, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return (self(batch[0]) - batch[1]).square().mean()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def quiet(folder: Path, *callbacks: Any, epochs: int = 2) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=list(callbacks),
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )


@stream
def attacks_of_training_batches(folder: Path) -> Any:
    pairs = [(torch.zeros(4), torch.zeros(1)) for _ in range(6)]
    found = {}
    for recipe in (Madry(), AdditionalStep(1)):
        starts.clear()
        callback = AdversarialTraining(Start(Linf(1.0)), recipe, seed=5)
        # Two epochs of two batches.
        quiet(folder, callback).fit(Linear(4), DataLoader(pairs, batch_size=3))
        found[type(recipe).__name__] = list(starts)
    return found


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


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def sounding(samples: Tensor) -> list[float]:
    """Loudness of eight parts, which tell more than a few samples."""
    parts = samples.double()[: len(samples) // 8 * 8].reshape(8, -1)
    return parts.square().mean(1).sqrt().tolist()


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


# Comparison: the draws of the intervals.


@stream
def intervals(_folder: Path) -> Any:
    left, right = np.arange(5.0) ** 2, np.arange(5.0)[::-1] * 2.7
    clips = np.arange(40.0) % 7
    many, few = np.add.outer(left, clips), np.add.outer(right, np.sqrt(clips))
    draws = np.add.outer(np.arange(300.0) % 11, left), np.add.outer(np.arange(300.0) % 5, right)
    return {
        "seeds, paired": seed_interval(left, right, paired=True),
        "seeds": seed_interval(left, right[:4], paired=False),
        "seeds and clips, paired": seed_and_clip_interval(many, few, paired=True),
        "seeds and clips": seed_and_clip_interval(many, few[:4], paired=False),
        "scores, paired": score_interval(*draws, paired=True),
        "scores": score_interval(draws[0], draws[1][:, :4], paired=False),
    }


@stream
def drawn_clips_of_cmap(_folder: Path) -> Any:
    scores = np.sin(np.arange(60.0)).reshape(20, 3)
    found = drawn_cmap(scores, (np.cos(np.arange(60.0)).reshape(20, 3) > 0.3).astype(float))
    return {
        "draws": len(found),
        "first": found[:4],
        "last": found[-2:],
        "mean": float(found.mean()),
    }


# Networks: what a seed makes of them.


@stream
def first_weights(_folder: Path) -> Any:
    makers: dict[str, Callable[[], nn.Module]] = {
        "AudioVGG": lambda: AudioVGG(0.1),
        "A2M2E": lambda: A2M2E(16, 8),
        "ConvNeXtHead": lambda: ConvNeXtHead(16, 8),
        "AudioProtoPNetHead": lambda: AudioProtoPNetHead(16, 3),
    }
    found = {}
    for name, make in makers.items():
        torch.manual_seed(5)
        parameters = [values.detach() for values in make().parameters() if values.ndim > 1]
        found[name] = [some(values, 2) for values in (parameters[0], parameters[-1])]
        found[f"after {name}"] = torch.rand(1)
    return found
