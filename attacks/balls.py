"""Balls: which perturbations are allowed, clip by clip."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor

from attacks.draws import Draws
from attacks.sizes import l2_norm, linf_norm, per_clip


class Ball(ABC):
    """The set of allowed perturbations around a clip; every clip has a budget of its own.

    Args:
        eps: Budget in the unit of the attacked domain (z-units for standardised spectrograms).

    Raises:
        ValueError: If the budget is negative.
    """

    norm: ClassVar[str]
    """Name of the norm in tables."""

    def __init__(self, eps: float = 0.0) -> None:
        if not eps >= 0:
            raise ValueError(f"The budget of a ball cannot be {eps}; it is at least 0.")
        self.eps = float(eps)

    def __repr__(self) -> str:
        """Show the class and its budget."""
        return f"{type(self).__name__}(eps={self.eps:g})"

    def at(self, eps: float) -> Self:
        """The same kind of ball with another budget."""
        ball = copy.copy(self)
        Ball.__init__(ball, eps)
        return ball

    @abstractmethod
    def inside(self, x: Tensor, draws: Draws) -> Tensor:
        """A random perturbation, uniform in the ball around each clip of ``x``."""

    @abstractmethod
    def surface(self, x: Tensor, draws: Draws) -> Tensor:
        """A random perturbation that spends the whole budget of each clip."""

    @abstractmethod
    def direction(self, gradient: Tensor) -> Tensor:
        """Steepest ascent of unit size in this norm; zero where the gradient is zero."""

    @abstractmethod
    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """The nearest allowed perturbation of each clip."""

    @abstractmethod
    def size(self, perturbation: Tensor) -> Tensor:
        """Size of each clip's perturbation in the unit of ``eps``, shape (batch,)."""


class NormBall(Ball):
    """A ball of a norm: what minimal-norm attacks can search in."""

    @abstractmethod
    def within(self, perturbation: Tensor, radius: Tensor) -> Tensor:
        """The nearest perturbation of each clip whose size is at most ``radius``.

        Args:
            perturbation: Perturbations, shape (batch, ...).
            radius: Largest sizes, shape (batch,), in the unit of ``eps``; may be infinite.
        """

    @abstractmethod
    def dual_norm(self, gradient: Tensor) -> Tensor:
        """Largest change, to first order, that a perturbation of size 1 makes, shape (batch,)."""


class Linf(NormBall):
    """Every value may change by at most ``eps``."""

    norm = "linf"

    def inside(self, x: Tensor, draws: Draws) -> Tensor:
        """Each value uniform in [-eps, eps]."""
        return draws.uniform(x).mul_(self.eps)

    def surface(self, x: Tensor, draws: Draws) -> Tensor:
        """Each value -eps or eps: the energy that a sign attack spends, without its aim."""
        return draws.uniform(x).sign_().mul_(self.eps)

    def direction(self, gradient: Tensor) -> Tensor:
        """Sign of the gradient."""
        return gradient.sign()

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Clamp every value."""
        return perturbation.clamp(-self.eps, self.eps)

    def within(self, perturbation: Tensor, radius: Tensor) -> Tensor:
        """Clamp every value to its clip's radius."""
        limit = per_clip(radius, perturbation)
        return perturbation.clamp(-limit, limit)

    def dual_norm(self, gradient: Tensor) -> Tensor:
        """Sum of the absolute values."""
        return gradient.flatten(1).abs().sum(1)

    def size(self, perturbation: Tensor) -> Tensor:
        """Largest absolute value."""
        return linf_norm(perturbation)


class L2(NormBall):
    """The Euclidean norm of a clip's perturbation is at most ``eps``."""

    norm = "l2"

    def inside(self, x: Tensor, draws: Draws) -> Tensor:
        """Uniform in the Euclidean ball."""
        radius = draws.uniform_per_clip(x) ** (1 / x[0].numel())
        return self.surface(x, draws) * radius

    def surface(self, x: Tensor, draws: Draws) -> Tensor:
        """Uniform on the Euclidean sphere."""
        return self.direction(draws.normal(x)).mul_(self.eps)

    def direction(self, gradient: Tensor) -> Tensor:
        """Gradient divided by its norm."""
        tiny = torch.finfo(gradient.dtype).tiny
        # Scaled first: squares of tiny fp32 gradients underflow to a norm of zero.
        scaled = gradient / per_clip(linf_norm(gradient).clamp_min(tiny), gradient)
        return scaled / per_clip(l2_norm(scaled).clamp_min(tiny), scaled)

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Shrink what is too long."""
        return self._shorten(perturbation, self.eps)

    def within(self, perturbation: Tensor, radius: Tensor) -> Tensor:
        """Shrink what is longer than its clip's radius."""
        return self._shorten(perturbation, radius)

    def _shorten(self, perturbation: Tensor, longest: float | Tensor) -> Tensor:
        norm = l2_norm(perturbation)
        factor = (longest / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_max(1.0)
        return perturbation * per_clip(factor, perturbation)

    def dual_norm(self, gradient: Tensor) -> Tensor:
        """Euclidean norm."""
        return l2_norm(gradient)

    def size(self, perturbation: Tensor) -> Tensor:
        """Euclidean norm."""
        return l2_norm(perturbation)


class Unbounded(Ball):
    """Every perturbation is allowed; its size is reported as the Euclidean norm.

    For reproducing attacks that have no bound. Figures under it say how a model fails, never how
    robust it is within a budget.
    """

    norm = "l2"

    def __init__(self) -> None:
        super().__init__(math.inf)

    def at(self, eps: float) -> Self:
        """Itself: there is no budget to change."""
        return self

    def inside(self, x: Tensor, draws: Draws) -> Tensor:
        """There is no uniform point of an unbounded set.

        Raises:
            ValueError: Always.
        """
        raise ValueError("An unbounded attack has no random start; give a ball with a budget.")

    def surface(self, x: Tensor, draws: Draws) -> Tensor:
        """There is no budget to spend.

        Raises:
            ValueError: Always.
        """
        raise ValueError("An unbounded set has no surface; give a ball with a budget.")

    def direction(self, gradient: Tensor) -> Tensor:
        """Sign of the gradient."""
        return gradient.sign()

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Leave everything as it is."""
        return perturbation

    def size(self, perturbation: Tensor) -> Tensor:
        """Euclidean norm."""
        return l2_norm(perturbation)
