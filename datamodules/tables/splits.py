"""Dividing clips into training, validation and test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from torch.utils.data import Subset, random_split

from steadyear.foundation.random_streams import torch_generator


class Splits(NamedTuple):
    """Positions of the clips of each part."""

    train: list[int]
    val: list[int]
    test: list[int]

    @property
    def clips(self) -> list[int]:
        """Positions of the clips of all parts, in the order of the clips."""
        return sorted(self.train + self.val + self.test)

    def without(self, left_out: set[int]) -> Splits:
        """Return the same split without some clips.

        Args:
            left_out: Positions to leave out.
        """
        return Splits(*([clip for clip in part if clip not in left_out] for part in self))


def random_splits(num_clips: int, shares: tuple[float, float, float], seed: int) -> Splits:
    """Split at random, the same for every run with one seed.

    Args:
        num_clips: Number of clips.
        shares: Shares of training, validation and test, summing to 1.
        seed: Seed of the split.

    Raises:
        ValueError: If the shares do not sum to 1 or one is negative.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"The three shares of split must be >= 0 and sum to 1, not {shares}.")
    generator = torch_generator(seed)
    with warnings.catch_warnings():  # an empty part is a choice
        warnings.filterwarnings("ignore", "Length of split")
        # torch asks for a Dataset, but any sequence will do.
        parts: list[Subset[int]] = random_split(range(num_clips), shares, generator)  # type: ignore[arg-type]
    return Splits(*(list(part.indices) for part in parts))


def named_splits(names: Sequence[str], where: str) -> Splits:
    """Split by the name that each clip bears.

    Args:
        names: ``train``, ``val`` or ``test`` for each clip.
        where: The column and file they come from, for error messages.

    Raises:
        ValueError: If there is another name.
    """
    unknown = sorted(set(names) - set(Splits._fields))
    if unknown:
        raise ValueError(f"{where} may hold train, val and test only, but also holds {unknown}.")
    return Splits(*([i for i, name in enumerate(names) if name == part] for part in Splits._fields))
