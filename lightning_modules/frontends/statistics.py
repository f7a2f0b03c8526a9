"""The scale of a front end: fitted by the module that owns it, on spectrograms that the data offer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from steadyear.lightning_modules.frontends.base import Frontend


def require_statistics(frontend: Frontend) -> None:
    """Refuse a front end whose scale is unknown.

    Raises:
        ValueError: If it has no statistics.
    """
    if not bool(frontend.fitted):
        raise ValueError(
            "The front end has no statistics: fit the model on training clips, load a checkpoint, "
            "or give the front end's mean and std. A module that is not a BaseModule fits them in "
            "its setup: fit_statistics(self.frontend, self.trainer.datamodule.spectrograms_to_fit())."
        )


def fit_statistics(frontend: Frontend, spectrograms: Iterable[npt.NDArray[Any]]) -> None:
    """Fit mean and standard deviation to raw spectrograms, every clip counting the same.

    The mean is the mean of the clips' means; the standard deviation is the root of the mean over
    clips of their mean squared deviation from it.

    Args:
        frontend: The front end.
        spectrograms: What ``frontend.analyse`` made of each clip, shape (height, width).

    Raises:
        ValueError: If there is no clip, or all values are the same.
    """
    doubles = (np.asarray(each, dtype=np.float64) for each in spectrograms)
    moments = [(values.mean(), values.var()) for values in doubles]
    if not moments:
        raise ValueError("No training clip can be read, so the front end cannot be fitted.")
    means, variances = np.array(moments).T
    mean = float(means.mean())
    # The mean squared deviation from another centre is the variance plus the squared distance.
    frontend.fit(mean, math.sqrt(float((variances + (means - mean) ** 2).mean())))
