"""Random numbers that belong to an attack, never to the global random state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor


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
            self._generators = [_keyed(seed, key, int(i)) for i in index.tolist()]
        elif generator is not None:
            self._generators = [generator]
        else:
            self._generators = [_keyed(seed, key, -1)]

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


def _keyed(seed: int, stream: str, index: int) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{stream}/{index}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))
