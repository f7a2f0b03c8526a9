"""Robustness scores between 0 and 1: what a clip's loss, or a data set's score, has lost.

PRS, DRS and TARS per clip are those of Fraunhofer IEE's evaluation of targeted attacks on wind
power forecasts (repository FraunhoferIEE/taaowpf, ``robustness_scores.py``), where the loss is the
root mean squared error. With L the loss of one clip, x' the attacked clip, y its target, a the
target of the attacker and e = 1e-10:

    PRS  = min(1, exp(1 - L(f(x'), y) / (L(f(x), y) + e)))
    DRS  = min(1, exp(1 - L(f(x), a) / (L(f(x'), a) + e)))
    TARS = (1 + b^2) * DRS * PRS / (b^2 * PRS + DRS)

1 means that the attack achieved nothing. PRS falls when the attack degrades the task, DRS when the
prediction comes closer to the attacker's target, and TARS is the F-measure of the two. A data set
is described by the mean over its clips.

Edge cases. e decides those of PRS and DRS: two losses of 0 give 1, because nothing was lost; a clean
loss of 0 and a real one under attack give a PRS of 0; an attacked loss of 0 to the attacker's
target, a full success, gives a DRS of 0. PRS and DRS both at 0 give a TARS of 0, which is ours: the
published code gives NaN.

Ours, not published: any loss in place of the root mean squared error, and the score of a data set
(:func:`score_robustness`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

ClipLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of each clip, shape (batch,) and at least 0, from predictions and targets."""

EPS = 1e-10


class RobustnessScores(NamedTuple):
    """Scores of each clip, shape (batch,); the last two only for attacks that have a target.

    Attributes:
        prs: Performance robustness score.
        drs: Deformation robustness score.
        tars: Total adversarial robustness score.
    """

    prs: Tensor
    drs: Tensor | None = None
    tars: Tensor | None = None


def root_mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Root mean squared error of each clip, shape (batch,); the loss of the published scores.

    Args:
        prediction: Predictions, shape (batch, ...).
        target: Target values, same shape.
    """
    return (prediction - target).flatten(1).square().mean(1).sqrt()


def robustness_scores(
    clean: Tensor,
    attacked: Tensor,
    target: Tensor,
    attacker_target: Tensor | None = None,
    loss: ClipLoss = root_mean_squared_error,
) -> RobustnessScores:
    """Scores of each clip.

    Args:
        clean: Predictions without attack, shape (batch, ...).
        attacked: Predictions under attack, same shape.
        target: True values.
        attacker_target: Values that the attacker wants; ``None`` for an attack without a target.
        loss: Loss of each clip. Any but the default is ours.
    """
    prs = performance_robustness(loss(clean, target), loss(attacked, target))
    if attacker_target is None:
        return RobustnessScores(prs)
    drs = deformation_robustness(loss(clean, attacker_target), loss(attacked, attacker_target))
    return RobustnessScores(prs, drs, total_robustness(prs, drs))


def performance_robustness(clean_loss: Tensor, attacked_loss: Tensor) -> Tensor:
    """PRS of each clip, shape (batch,), from its losses to the true target.

    Args:
        clean_loss: Losses without attack, at least 0, shape (batch,).
        attacked_loss: Losses under attack, same shape.
    """
    return torch.exp(1 - attacked_loss / (clean_loss + EPS)).clamp(max=1)


def deformation_robustness(clean_loss: Tensor, attacked_loss: Tensor) -> Tensor:
    """DRS of each clip, shape (batch,), from its losses to the attacker's target.

    Args:
        clean_loss: Losses without attack, at least 0, shape (batch,).
        attacked_loss: Losses under attack, same shape.
    """
    return performance_robustness(attacked_loss, clean_loss)


def total_robustness(prs: Tensor, drs: Tensor, beta: float = 1.0) -> Tensor:
    """TARS of each clip: the F-measure of PRS and DRS, and 0 where both are 0.

    Args:
        prs: Performance robustness scores, shape (batch,).
        drs: Deformation robustness scores, same shape.
        beta: Weight of DRS; 1 treats both alike, as published.
    """
    weighted = beta**2 * prs + drs
    both_zero = weighted == 0
    total = (1 + beta**2) * drs * prs / torch.where(both_zero, 1.0, weighted)
    return torch.where(both_zero, 0.0, total)


def score_robustness(clean: float, attacked: float) -> float:
    """PRS of a whole data set from a score where more is better, such as cmAP; ours.

    ``min(1, exp(1 - clean / (attacked + e)))``. If both scores are 0 nothing was lost, and the
    result is 1.

    Args:
        clean: Score without attack, at least 0.
        attacked: Score under attack.

    Returns:
        The score; NaN if one of the two is.
    """
    exponent = 1 - clean / (attacked + EPS)
    return exponent if math.isnan(exponent) else math.exp(min(0.0, exponent))
