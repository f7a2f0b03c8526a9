"""Figures of merit for real-valued predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steadyear.lightning_modules.metrics.registry import registered_scores


def pearson(prediction: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation over the clips, per output, shape (outputs,).

    Without variation in prediction or target the correlation is undefined and counts as 0: such a
    prediction says nothing about the target.

    Args:
        prediction: Predictions, shape (clips, outputs).
        target: True values, same shape.
    """
    # On the CPU, because not every device has double precision.
    p, t = prediction.cpu().double(), target.cpu().double()
    p, t = p - p.mean(0), t - t.mean(0)
    denominator = p.norm(dim=0) * t.norm(dim=0)
    tiny = torch.finfo(torch.float64).eps * len(p)
    return torch.where(denominator > tiny, (p * t).sum(0) / denominator.clamp_min(tiny), 0.0)


def regression_scores(
    prediction: Tensor, target: Tensor, names: Sequence[str] = ()
) -> dict[str, float]:
    """Pearson correlation, MAE, RMSE and R2 of a set of clips.

    Args:
        prediction: Predictions, shape (clips, outputs).
        target: True values, same shape.
        names: Names of the outputs; with them each output's correlation is given as well.

    Returns:
        ``pearson``, ``mae``, ``rmse`` and ``r2``, each the mean over the outputs, the registered
        scores, and ``pearson/<name>`` for every name. R2 of an output without variation is left out of the
        mean.
    """
    prediction, target = prediction.cpu().double(), target.cpu().double()
    error = prediction - target
    correlation = pearson(prediction, target)
    total = (target - target.mean(0)).square().sum(0)
    r2 = 1 - error.square().sum(0)[total > 0] / total[total > 0]
    scores = {
        "pearson": correlation.mean().item(),
        "mae": error.abs().mean().item(),
        "rmse": error.square().mean(0).sqrt().mean().item(),
        "r2": r2.mean().item() if len(r2) else float("nan"),
    }
    scores |= registered_scores("regression", prediction, target)
    each = zip(names, correlation.tolist(), strict=True) if names else ()
    return scores | {f"pearson/{name}": value for name, value in each}
