"""The asymmetric loss for multi-label tasks, in both published variants."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

Variant = Literal["birdset", "original"]
Reduction = Literal["batch", "clip"]


class AsymmetricLoss(nn.Module):
    """Cross-entropy that forgets easy negatives (Ridnik et al., ICCV 2021, eq. 4 to 7).

    With p = sigmoid(logit) and q = min(1 - p + clip, 1), a class with target y costs
    ``-w * (y * ln p + (1 - y) * ln q)``. The focusing weight w is ``(1 - p) ** gamma_positive`` for
    y = 1 and ``(1 - q) ** gamma_negative`` for y = 0. Soft targets between 0 and 1 are accepted:
    the bases ``y * p + (1 - y) * q`` and the two exponents are then mixed alike.

    Two variants circulate. ``birdset`` (timm, BirdSet, AudioProtoPNet) takes the mean over clips
    and classes, and its gradient flows through the focusing weights. ``original`` (the authors'
    code) takes the sum, and its focusing weights are constants to the gradient.

    A negative with p <= ``clip`` costs nothing and has no gradient. Everything is computed in fp32
    at least, outside autocast: in fp16 ``eps`` would be zero and the loss NaN.

    Args:
        gamma_negative: Exponent that focuses on hard negatives.
        gamma_positive: Exponent that focuses on hard positives.
        clip: Probability below which a negative is forgotten.
        eps: Smallest argument of a logarithm.
        variant: ``birdset`` or ``original``.
        reduction: ``batch`` gives a scalar, as training needs it; ``clip`` one value per clip, as
            attacks need it.

    Raises:
        ValueError: If the variant or the reduction is unknown, or a number is negative.
    """

    def __init__(
        self,
        gamma_negative: float = 4.0,
        gamma_positive: float = 1.0,
        clip: float = 0.05,
        eps: float = 1e-8,
        variant: Variant = "birdset",
        reduction: Reduction = "batch",
    ) -> None:
        super().__init__()
        if variant not in get_args(Variant) or reduction not in get_args(Reduction):
            raise ValueError(
                f"variant is one of {', '.join(get_args(Variant))} and reduction one of "
                f"{', '.join(get_args(Reduction))}, not {variant!r} and {reduction!r}."
            )
        if min(gamma_negative, gamma_positive, clip, eps) < 0:
            raise ValueError("The settings of AsymmetricLoss are numbers >= 0.")
        self.gamma_negative = gamma_negative
        self.gamma_positive = gamma_positive
        self.clip = clip
        self.eps = eps
        self.variant = variant
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch, the mean or the sum of :meth:`per_clip`, or of each clip.

        Args:
            logits: Logits, shape (batch, classes).
            target: Targets from 0 to 1, same shape.
        """
        losses = self.per_clip(logits, target)
        if self.reduction == "clip":
            return losses
        return losses.mean() if self.variant == "birdset" else losses.sum()

    def per_clip(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each clip, shape (batch,): the mean or the sum over the classes.

        Args:
            logits: Logits, shape (batch, classes).
            target: Targets from 0 to 1, same shape.

        Raises:
            ValueError: If the shapes differ.
        """
        if logits.shape != target.shape:
            raise ValueError(
                f"AsymmetricLoss needs logits and targets of one shape, not {tuple(logits.shape)} "
                f"and {tuple(target.shape)}."
            )
        with torch.autocast(logits.device.type, enabled=False):
            if logits.dtype != torch.float64:
                logits = logits.float()
            losses = self._elements(logits, target.to(logits.dtype))
            return losses.mean(1) if self.variant == "birdset" else losses.sum(1)

    def _elements(self, logits: Tensor, target: Tensor) -> Tensor:
        positive = torch.sigmoid(logits)
        negative = (1 - positive + self.clip).clamp(max=1)
        logarithm = target * positive.clamp(min=self.eps).log()
        logarithm = logarithm + (1 - target) * negative.clamp(min=self.eps).log()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.variant == "birdset"):
            likely = positive * target + negative * (1 - target)
            gamma = self.gamma_positive * target + self.gamma_negative * (1 - target)
            # Fused arithmetic may round above 1, and a power of a negative number is NaN.
            weight = (1 - likely).clamp(min=0).pow(gamma)
        return -weight * logarithm
