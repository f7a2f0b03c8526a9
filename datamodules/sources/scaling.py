"""The two numbers that one z-unit stands for, from training clips."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from steadyear.datamodules.sources.cache import SpectrogramCache


def mean_and_std(cache: SpectrogramCache, clips: Sequence[int]) -> tuple[float, float]:
    """Compute the statistics of raw spectrograms, every clip counting the same.

    The mean is the mean of the clips' means; the standard deviation is the root of the mean over
    clips of their mean squared deviation from it.

    Args:
        cache: Raw spectrograms.
        clips: Positions of the training clips.
    """
    means = np.empty(len(clips))
    variances = np.empty(len(clips))
    for i, clip in enumerate(clips):
        values = np.asarray(cache.load(clip), dtype=np.float64)
        means[i], variances[i] = values.mean(), values.var()
    mean = float(means.mean())
    # The mean squared deviation from another centre is the variance plus the squared distance.
    return mean, math.sqrt(float((variances + (means - mean) ** 2).mean()))
