"""Random numbers that belong to a key: everything that is drawn in this project starts here.

A key becomes a seed by one of three schemes. Merging them would change numbers that published or
stored results depend on, so each stays as it is; new code takes :func:`seed_of_key`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def seed_of_key(*key: object) -> int:
    """Hash a key of any parts; attacks and corruptions are keyed by it.

    Stays because the tables of robustness and all adversarial trainings depend on it. The parts
    are hashed as text: 1 and ``"1"`` are the same key.

    Returns:
        A seed below 2 ** 56.
    """
    text = "/".join(map(str, key))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def seed_of_batch(*key: int) -> int:
    """Mix whole numbers >= 0 as NumPy does; augmentation of bird batches is keyed by it.

    Stays because trained bird models depend on it.

    Returns:
        A seed below 2 ** 63.
    """
    state = np.random.SeedSequence(key).generate_state(2)
    return int(state[0]) << 31 | int(state[1]) >> 1


def seed_of_epoch(seed: int, epoch: int, process: int) -> int:
    """Return the seed of the global random state in one epoch of one process.

    Stays because the weights of all trained models depend on it.
    """
    # Primes keep the keys of neighbouring seeds, processes and epochs apart.
    return seed * 1_000_003 + epoch * 10_007 + process * 101


def seed_global_state(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of its own; its seed often comes from a key."""
    return torch.Generator(device).manual_seed(seed)


def numpy_generator(*key: int) -> np.random.Generator:
    """Return a generator of its own for a key of whole numbers >= 0.

    A key of one number is the same as NumPy's seed. Not a scheme of ours, but NumPy's: data,
    splits and the bootstrap depend on it.
    """
    return np.random.default_rng(key)


class RandomStreams:
    """Random tensors keyed by clip, or taken from one generator.

    With ``index`` every clip has a generator of its own, seeded by (seed, stream, index), so the
    numbers of a clip depend neither on its batch nor on the number of processes. With a
    ``generator`` the whole batch is drawn at once, which is what training wants.

    Args:
        seed: First part of every key.
        index: Stable numbers of the clips, shape (batch,).
        generator: Source of a whole batch; excludes ``index``.
        stream: Second part of every key; restarts and repeated draws use one each.
        member: Set before the stream in every key; attacks that others are made of use one each.

    Raises:
        ValueError: If both ``index`` and ``generator`` are given.
    """

    def __init__(
        self,
        seed: int = 0,
        index: Tensor | None = None,
        generator: torch.Generator | None = None,
        stream: int = 0,
        member: str = "",
    ) -> None:
        if index is not None and generator is not None:
            raise ValueError("Give an attack the clips' index or a generator, not both.")
        self.seed = seed
        self.index = index
        self.generator = generator
        self.member = member
        self._stream = stream
        key = f"{member}{stream}"
        if index is not None:
            self._generators = [
                torch_generator(seed_of_key(seed, key, int(i))) for i in index.tolist()
            ]
        elif generator is not None:
            self._generators = [generator]
        else:
            self._generators = [torch_generator(seed_of_key(seed, key, -1))]

    def stream(self, number: int) -> RandomStreams:
        """Independent numbers for the same clips."""
        return RandomStreams(self.seed, self.index, self.generator, number, self.member)

    def of(self, clips: Tensor) -> RandomStreams:
        """The same numbers, of some of the clips.

        Args:
            clips: Positions of the clips in the batch.
        """
        index = None if self.index is None else self.index[clips.to(self.index.device)]
        return RandomStreams(self.seed, index, self.generator, self._stream, self.member)

    def part(self, number: int, clips: Tensor) -> RandomStreams:
        """Independent numbers of one member of an ensemble, for some of the clips.

        Args:
            number: Which member.
            clips: Positions of the clips in the batch.
        """
        index = None if self.index is None else self.index[clips.to(self.index.device)]
        return RandomStreams(self.seed, index, self.generator, 0, f"{self.member}{number}.")

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers in [-1, 1], of the shape, type and device of ``like``."""
        return self._draw(torch.rand, like).mul_(2).sub_(1)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers, of the shape, type and device of ``like``."""
        return self._draw(torch.randn, like)

    def uniform_per_clip(self, like: Tensor) -> Tensor:
        """One uniform number in [0, 1] per clip, shape (batch, 1, ...), broadcasting to ``like``."""
        ones = like.new_empty((len(like), *(1 for _ in like.shape[1:])))
        return self._draw(torch.rand, ones)

    def _draw(self, sample: Callable[..., Tensor], like: Tensor) -> Tensor:
        if self.index is None:
            generator = self._generators[0]
            numbers = sample(like.shape, generator=generator, device=generator.device)
        else:
            if len(self._generators) != len(like):
                raise ValueError(f"{len(self._generators)} indices for {len(like)} clips.")
            # Drawn on the CPU so that every device sees the same numbers.
            numbers = torch.stack([sample(like.shape[1:], generator=g) for g in self._generators])
        return numbers.to(like.device, like.dtype)
