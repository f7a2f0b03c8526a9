"""Scores of real-valued predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def regression(
    prediction: Floats, target: Floats, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Score a set of clips.

    Args:
        prediction: Predicted values, shape (clips, targets).
        target: True values, same shape.
        names: Names of the targets.

    Returns:
        ``pearson`` (mean over targets), ``mae``, ``lowest`` and ``highest`` prediction; and
        Pearson's r of every target.
    """
    per_target = pearson(prediction, target)
    metrics = {
        "pearson": float(per_target.mean()),
        "mae": float(np.abs(prediction - target).mean()),
        "lowest": float(prediction.min()),
        "highest": float(prediction.max()),
    }
    return metrics, dict(zip(names, per_target.tolist(), strict=True))


def pearson(prediction: Floats, target: Floats) -> Floats:
    """Pearson's r over clips, one per column.

    Args:
        prediction: Predicted values, shape (clips, columns).
        target: True values, shape (clips, columns).

    Returns:
        Correlations, shape (columns,); NaN where a column is constant or not finite.
    """
    columns = zip(prediction.T, target.T, strict=True)
    return np.asarray([_correlation(left, right) for left, right in columns], dtype=np.float64)


def _correlation(left: Floats, right: Floats) -> float:
    both = np.stack([left, right])
    if both.shape[1] < 2 or not np.isfinite(both).all() or (np.ptp(both, axis=1) == 0).any():
        return math.nan
    return float(np.asarray(np.corrcoef(both))[0, 1])
