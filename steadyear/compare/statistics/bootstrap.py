"""Bootstrap intervals of the difference between two systems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steadyear.foundation.random_streams import numpy_generator

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL: Final = 0.95
OVER_SEEDS: Final = 100_000
# Drawing clips costs as much more as there are clips.
OVER_BOTH: Final = 10_000
_VALUES_AT_ONCE: Final = 1_000_000


def seed_interval(left: Floats, right: Floats, *, paired: bool) -> Interval:
    """Percentile bootstrap interval of ``mean(left) - mean(right)`` over seeds.

    Seeds are drawn with replacement: the same ones for both systems where they are paired, else for
    each system on its own. The draws are seeded: the same values give the same interval.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        left: Mean of each seed of one system, shape (seeds,).
        right: The same of the other; in the same order of seeds where they are paired.
        paired: Whether value i of both belongs to the same seed.

    Returns:
        Lower and upper end of the interval that holds 95 % of the resampled differences.
    """
    draw = numpy_generator(0)
    chosen = _draw_seeds(draw, OVER_SEEDS, len(left))
    other = chosen if paired else _draw_seeds(draw, OVER_SEEDS, len(right))
    return _ends(chosen @ left - other @ right)


def seed_and_clip_interval(left: Floats, right: Floats, *, paired: bool) -> Interval:
    """Like :func:`seed_interval`, with clips drawn as well, the same ones for both systems.

    Source: Owen, "The pigeonhole bootstrap", 2007, arXiv 0712.1111.

    Args:
        left: Value of each seed and clip of one system, shape (seeds, clips).
        right: The same of the other, shape (seeds, clips), with the same clips.
        paired: Whether row i of both belongs to the same seed.

    Returns:
        Lower and upper end of the interval that holds 95 % of the resampled differences.
    """
    draw = numpy_generator(0)
    width = left.shape[1]
    found = []
    for count in _chunks(width):
        chosen = _draw_seeds(draw, count, len(left))
        other = chosen if paired else _draw_seeds(draw, count, len(right))
        clips = draw.integers(width, size=(count, width), dtype=np.int32)
        difference = chosen @ left - other @ right
        found.append(np.take_along_axis(difference, clips, axis=1).mean(axis=1))
    return _ends(np.concatenate(found))


def score_interval(left: Floats, right: Floats, *, paired: bool) -> Interval:
    """Like :func:`seed_and_clip_interval`, for scores that are not a mean over clips.

    Draws of clips in which a score is undefined are left out. A score such as cmAP is a little
    larger on clips that were drawn with replacement, because some come twice; it is so for both
    systems.

    Args:
        left: Score of each seed of one system on each draw of clips, shape (draws, seeds).
        right: The same of the other, shape (draws, seeds), on the same draws of clips.
        paired: Whether column i of both belongs to the same seed.

    Returns:
        Lower and upper end of the interval that holds 95 % of the resampled differences.
    """
    draw = numpy_generator(0)
    chosen = _draw_seeds(draw, len(left), left.shape[1])
    other = chosen if paired else _draw_seeds(draw, len(left), right.shape[1])
    difference = (chosen * left).sum(axis=1) - (other * right).sum(axis=1)
    return _ends(difference[~np.isnan(difference)])


def _draw_seeds(draw: np.random.Generator, count: int, seeds: int) -> Floats:
    # How often each seed is drawn is all that a mean needs to know.
    return draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=count) / seeds


def _chunks(width: int) -> Iterator[int]:
    size = max(1, _VALUES_AT_ONCE // width)
    for start in range(0, OVER_BOTH, size):
        yield min(size, OVER_BOTH - start)


def _ends(differences: Floats) -> Interval:
    low, high = np.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
