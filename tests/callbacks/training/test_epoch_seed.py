"""Global random numbers of an epoch."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import torch

from steadyear.callbacks import EpochSeed


def draw(seed, epoch, rank):
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    EpochSeed(seed).on_train_batch_start(trainer, None, None, 0)
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_numbers_depend_on_seed_epoch_and_process_only():
    keys = [(seed, epoch, rank) for seed in range(4) for epoch in range(6) for rank in range(4)]
    first = {key: draw(*key) for key in keys}
    torch.rand(100)
    assert first == {key: draw(*key) for key in reversed(keys)}
    for source in range(3):
        assert len({numbers[source] for numbers in first.values()}) == len(keys)


def test_default_seed_is_that_of_the_run(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    assert draw(None, 2, 1) == draw(3, 2, 1)
    monkeypatch.delenv("PL_GLOBAL_SEED")
    assert draw(None, 2, 1) == draw(0, 2, 1)
