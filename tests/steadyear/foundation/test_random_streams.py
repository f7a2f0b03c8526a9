"""Keys become the seeds that stored results depend on, and nobody else makes seeds of keys."""

from __future__ import annotations

import hashlib
import random
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from steadyear.foundation.random_streams import (
    numpy_generator,
    seed_global_state,
    seed_of_batch,
    seed_of_epoch,
    seed_of_key,
    torch_generator,
)

ROOT = Path(__file__).resolve().parents[3]
OWNER = ROOT / "steadyear" / "foundation" / "random_streams.py"
MAKES_GENERATORS = re.compile(
    r"default_rng|SeedSequence|RandomState|\bGenerator\(|from_bytes\(hash"
)


def test_a_key_is_the_hash_of_its_text():
    digest = hashlib.blake2b(b"3/wind/100", digest_size=7).digest()
    assert seed_of_key(3, "wind", 100) == int.from_bytes(digest, "big")


def test_a_tuple_is_one_part_of_a_key():
    key = (5, 0, 1, 2, "attack")
    assert seed_of_key(key) == seed_of_key(repr(key))
    assert seed_of_key(key) != seed_of_key(*key)


def test_a_batch_is_mixed_as_numpy_does():
    state = np.random.SeedSequence([1, 3, 5, 10, 2**40]).generate_state(2)
    seed = seed_of_batch(1, 3, 5, 10, 2**40)
    assert seed == int(state[0]) * 2**31 + int(state[1]) // 2
    assert seed != seed_of_batch(1, 3, 5, 2**40, 10)


def test_neighbouring_epochs_have_seeds_of_their_own():
    keys = list(product(range(5), range(40), range(8)))
    assert len({seed_of_epoch(*key) for key in keys}) == len(keys)
    assert seed_of_epoch(2, 3, 4) == 2 * 1_000_003 + 3 * 10_007 + 4 * 101


def test_the_global_state_is_seeded_as_a_whole():
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        seed_global_state(2**32 + 7)
        drawn = random.random(), np.random.rand(), torch.rand(2)
    random.setstate(python)
    np.random.set_state(numpy)
    assert drawn[:2] == (random.Random(2**32 + 7).random(), np.random.RandomState(7).rand())
    assert torch.equal(drawn[2], torch.rand(2, generator=torch_generator(2**32 + 7)))


def test_a_torch_generator_leaves_the_global_state_alone():
    before = torch.random.get_rng_state()
    found = torch.rand(3, generator=torch_generator(11))
    assert torch.equal(found, torch.rand(3, generator=torch.Generator().manual_seed(11)))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32, 2**62 - 1])
def test_a_key_of_one_number_is_the_seed_of_numpy(seed):
    expected = np.random.default_rng(seed).random(4)
    assert np.array_equal(numpy_generator(seed).random(4), expected)


def test_a_key_of_numbers_is_that_of_numpy():
    expected = np.random.default_rng((3, 0, 17)).random(4)
    assert np.array_equal(numpy_generator(3, 0, 17).random(4), expected)
    assert not np.array_equal(numpy_generator(3, 17, 0).random(4), expected)


def test_nobody_else_makes_generators():
    rooms = ("attacks", "callbacks", "datamodules", "lightning_modules", "steadyear")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        if path.resolve() == path != OWNER
        for line in path.read_text(encoding="utf-8").splitlines()
        if MAKES_GENERATORS.search(line)
    ]
    assert not found, "take these from steadyear.foundation.random_streams"
