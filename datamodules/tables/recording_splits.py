"""Dividing recordings so that no recording is on both sides."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from steadyear.foundation.random_streams import numpy_generator


def stratified_parts(
    strata: Mapping[str, Hashable], shares: Sequence[float], seed: int
) -> dict[str, int]:
    """Give every recording a part, such that each stratum is divided by the same shares.

    Within each stratum recordings are shuffled; what rounding leaves over is carried to the next
    stratum, so that the shares hold over all of them. The first part, which is for training, gets at
    least one recording of every stratum.

    Args:
        strata: Stratum of each recording, usually its first species.
        shares: Share of each part, summing to 1.
        seed: Seed of the shuffling.

    Returns:
        Number of the part of each recording.

    Raises:
        ValueError: If the shares are negative or do not sum to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"The shares of a split must be >= 0 and sum to 1, not {tuple(shares)}.")
    groups: dict[Hashable, list[str]] = {}
    for recording in sorted(strata):  # independent of the order of the table
        groups.setdefault(strata[recording], []).append(recording)
    rng = numpy_generator(seed)
    owed = np.zeros(len(shares))
    parts: dict[str, int] = {}
    for stratum in sorted(groups, key=str):
        members = groups[stratum]
        owed += np.multiply(len(members), shares)
        taken = _whole(owed, len(members))
        owed -= taken
        names = [members[i] for i in rng.permutation(len(members))]
        numbers = np.repeat(np.arange(len(shares)), taken)
        parts |= {name: int(number) for name, number in zip(names, numbers, strict=True)}
    return parts


def _whole(owed: np.ndarray[tuple[int], np.dtype[np.float64]], total: int) -> list[int]:
    """Divide ``total`` recordings: as many as are owed to the later parts, the rest to the first."""
    taken = [0] * len(owed)
    for part in range(1, len(owed)):
        left = total - 1 - sum(taken)
        taken[part] = max(0, min(left, int(owed[part] + 0.5)))
    taken[0] = total - sum(taken)
    return taken
