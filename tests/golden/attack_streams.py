"""Attacks: keyed by seed, member, stream and clip; training: the seed of an epoch, and its attacks."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
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
    EpochSeed,
    Madry,
)
from steadyear.foundation.random_streams import RandomStreams
from tests.golden.golden_attacks import case
from tests.golden.streams import RATE, Linear, quiet, some, stream

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
