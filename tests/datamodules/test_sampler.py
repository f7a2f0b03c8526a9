from __future__ import annotations

import torch
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper

from steadyear.datamodules.sampler import EpochSampler


def test_order_is_a_function_of_seed_and_epoch() -> None:
    sampler = EpochSampler(50, seed=3)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(position for _, position in first) == list(range(50))
    sampler.set_epoch(1)
    second = list(sampler)
    assert {epoch for epoch, _ in second} == {1}
    assert [p for _, p in first] != [p for _, p in second]
    other = EpochSampler(50, seed=4)
    assert first != list(other)


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(EpochSampler(10, 0))
    assert torch.equal(before, torch.get_rng_state())


def test_two_processes_share_one_order() -> None:
    """Lightning's wrapper must forward the epoch and deal out one common order."""
    alone = EpochSampler(9, seed=0)
    ranks = [DistributedSamplerWrapper(EpochSampler(9, 0), 2, rank, False) for rank in (0, 1)]
    for sampler in (alone, *ranks):
        sampler.set_epoch(5)
    order, (even, odd) = list(alone), map(list, ranks)
    assert even == order[::2]
    assert odd == [*order[1::2], order[0]]  # padded to the same length
