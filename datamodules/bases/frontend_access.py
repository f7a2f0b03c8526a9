"""The only place where data modules reach for the front end of the module being trained."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Trainer

from steadyear.lightning_modules.frontends.base import Frontend


def find_frontend(given: Frontend | None, trainer: Trainer | None) -> Frontend | None:
    """Return the front end of the configuration, or else that of the module being trained."""
    module = None if trainer is None else trainer.lightning_module
    found = getattr(module, "frontend", None) if given is None else given
    return found if isinstance(found, Frontend) else None


def no_frontend() -> ValueError:
    """The error of data that streams spectrograms and has no front end."""
    return ValueError(
        "Spectrograms need a front end: give the data module's frontend, train a model that "
        "has an attribute frontend, or stream waveforms."
    )


def require_statistics(frontend: Frontend) -> None:
    """Refuse a front end whose scale is unknown.

    Raises:
        ValueError: If it has no statistics.
    """
    if not bool(frontend.fitted):
        raise ValueError(
            "The front end has no statistics: fit the model on training clips, load a checkpoint, "
            "or give the front end's mean and std."
        )


def fit_statistics(frontend: Frontend, spectrograms: Iterable[npt.NDArray[Any]]) -> None:
    """Fit mean and standard deviation to raw spectrograms, every clip counting the same.

    The mean is the mean of the clips' means; the standard deviation is the root of the mean over
    clips of their mean squared deviation from it.

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
