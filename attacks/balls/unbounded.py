"""No bound at all."""

from __future__ import annotations

import math
from typing import Self

from torch import Tensor

from steadyear.attacks.balls.base import Ball
from steadyear.attacks.signal.sizes import l2_norm
from steadyear.foundation.random_streams import RandomStreams


class Unbounded(Ball):
    """Every perturbation is allowed; its size is reported as the Euclidean norm.

    For reproducing attacks that have no bound. Figures under it say how a model fails, never how
    robust it is within a budget.
    """

    norm = "l2"
    label = "L2"

    def __init__(self) -> None:
        super().__init__(math.inf)

    def at(self, eps: float) -> Self:
        """Itself: there is no budget to change."""
        return self

    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """There is no uniform point of an unbounded set.

        Raises:
            ValueError: Always.
        """
        raise ValueError("An unbounded attack has no random start; give a ball with a budget.")

    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """There is no budget to spend.

        Raises:
            ValueError: Always.
        """
        raise ValueError("An unbounded set has no surface; give a ball with a budget.")

    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Sign of the gradient."""
        return gradient.sign()

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Leave everything as it is."""
        return perturbation

    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Euclidean norm."""
        return l2_norm(perturbation)
