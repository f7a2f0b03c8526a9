"""The unbounded attack of the MER study, as its released code ran."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Unbounded
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.query import Query
from steadyear.attacks.objectives.base import Objective, refuse_coupled
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams

_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8  # Adam's defaults


class SignAdam(Attack):
    """Adam on the sign of the gradient, stopped by correlation (Hoedt et al., SMC 2025, as run).

    From zero, Adam ascends the objective with the sign of the gradient in the gradient's place. The
    correlation between a clip's prediction and target, over its outputs, is compared with a
    threshold in tenths that starts just above the clean correlation: whenever it is reached, the
    current perturbation is kept and the threshold drops by a tenth. A clip whose threshold falls
    below ``lowest`` is done and leaves the batch; the others end after ``steps``.

    The perturbation is **not bounded**: the released code computes a projection and discards it.
    Unlike there, the prediction that is reported belongs to the perturbation that is reported, and
    a threshold of exactly zero does not restart.

    Args:
        steps: Largest number of steps.
        learning_rate: Adam's learning rate, in the unit of the attacked tensor.
        lowest: Correlation below which a clip is done.

    Raises:
        ValueError: If there is no step, the objective has one value for a whole batch, or a clip
            has fewer than two outputs to correlate.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        *,
        steps: int = 1000,
        learning_rate: float = 0.002,
        lowest: float = -0.9,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(Unbounded(), objective, **settings)
        if steps < 1:
            raise ValueError(f"SignAdam needs at least one step, not {steps}.")
        refuse_coupled(self.objective, self)
        self.steps = steps
        self.learning_rate = learning_rate
        self.lowest = lowest

    def starts_at_clean(self) -> bool:
        """Always."""
        return True

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Ascend, and keep what reached a threshold last."""
        kept = torch.zeros_like(query.x)
        clips = torch.arange(len(kept), device=kept.device)
        point, first, second = (torch.zeros_like(kept) for _ in range(3))
        tenths = torch.full((len(kept),), torch.inf, device=kept.device)
        for step in range(self.steps + 1):
            here = query.gradient(point, clips if query.clips_independent else None)
            correlation = output_correlation(here.prediction, query.target[clips])
            if step == 0:
                tenths = torch.ceil(10 * correlation)
            reached = (correlation <= tenths / 10) & (tenths / 10 >= self.lowest)
            kept[clips] = torch.where(per_clip(reached, point), point, kept[clips])
            tenths = tenths - reached.to(tenths.dtype)
            going = tenths / 10 >= self.lowest
            if step == self.steps or not bool(going.any()):
                break
            if query.clips_independent:
                # A clip that is done costs nothing from here on.
                clips, point, first, second, tenths = (
                    part[going] for part in (clips, point, first, second, tenths)
                )
                sign = here.gradient[going].sign()
            else:
                sign = here.gradient.sign() * per_clip(going, point)
            first = _BETA1 * first + (1 - _BETA1) * sign
            second = _BETA2 * second + (1 - _BETA2) * sign.square()
            mean = first / (1 - _BETA1 ** (step + 1))
            spread = (second / (1 - _BETA2 ** (step + 1))).sqrt()
            point = query.project(point + self.learning_rate * mean / (spread + _TINY), clips)
        return kept


def output_correlation(prediction: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation over the outputs of each clip, shape (batch,); NaN without variation.

    Args:
        prediction: Predictions, shape (batch, outputs).
        target: True values, same shape.

    Raises:
        ValueError: If there are fewer than two outputs.
    """
    if prediction.ndim != 2 or prediction.shape[1] < 2:
        raise ValueError(
            "The correlation of a clip needs at least two outputs, shape (batch, outputs); the "
            f"model predicts {tuple(prediction.shape)}."
        )
    p = prediction - prediction.mean(1, keepdim=True)
    t = target - target.mean(1, keepdim=True)
    return (p * t).sum(1) / (p.square().sum(1) * t.square().sum(1)).sqrt()
