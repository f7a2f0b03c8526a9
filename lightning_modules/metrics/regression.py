"""Figures of merit for real-valued predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from steadyear.lightning_modules.metrics.repeats import first_of_each


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
        ``pearson``, ``mae``, ``rmse`` and ``r2``, each the mean over the outputs, and
        ``pearson/<name>`` for every name. R2 of an output without variation is left out of the
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
    each = zip(names, correlation.tolist(), strict=True) if names else ()
    return scores | {f"pearson/{name}": value for name, value in each}


class RegressionMetrics(Metric):
    """Collects predictions by clip, drops repeats, and scores them once.

    A distributed sampler repeats clips to fill the last batch; scored by ``index`` the numbers of
    one process and of many are the same.
    """

    full_state_update = False
    is_differentiable = False

    index: list[Tensor]
    prediction: list[Tensor]
    target: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "prediction", "target"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: Predictions, shape (batch, outputs).
            target: True values, same shape.
            index: Stable numbers of the clips, shape (batch,).
        """
        self.prediction.append(prediction.detach().float())
        self.target.append(target.detach().float())
        self.index.append(index)

    def compute(self) -> Tensor:
        """Predictions and targets of every clip once, in the order of the index.

        Returns:
            Both, shape (2, clips, outputs).
        """
        index, prediction, target = (
            _joined(state) for state in (self.index, self.prediction, self.target)
        )
        position = first_of_each(index)
        # One tensor, because torchmetrics squeezes tensors of a single element.
        return torch.stack([prediction[position], target[position]])


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    # After a sync across processes torchmetrics hands out one tensor instead of a list.
    return torch.cat(state) if isinstance(state, list) else state
