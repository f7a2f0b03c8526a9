"""Balls that limit groups of coefficients of an orthonormal transform of waveforms."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from steadyear.attacks.balls.base import NormBall
from steadyear.attacks.signal.memo import OncePerTensor
from steadyear.attacks.signal.sizes import l2_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams

ROUNDING = 2.0**-24
"""Share of a value that single precision may round away."""

_ROUNDS = 5  # of clipping and projecting


class CoefficientBall(NormBall):
    """The Euclidean norm of every group of coefficients is at most ``eps`` times the group's limit.

    A subclass names an orthonormal transform, its groups and, for each clip, their limits. Projection,
    steepest direction, dual norm and uniform points then follow group by group, in double
    precision.

    A perturbed clip is rounded to the grid of single precision, 144 dB below each of its values, and
    that noise falls into all groups. Projection leaves room for the largest noise that is possible, so a limit
    also holds for the clip that is returned. Where a limit is smaller than this noise, nothing is
    allowed, and ``size`` does not count what may be noise.
    """

    requires_waveform = True

    def __init__(self, eps: float = 0.0) -> None:
        super().__init__(eps)
        self._limits = OncePerTensor(self.limits)

    @abstractmethod
    def limits(self, x: Tensor) -> Tensor:
        """Limit of every group of each clip, shape (batch, groups), float64, without gradient."""

    @abstractmethod
    def coefficients(self, waveform: Tensor) -> Tensor:
        """Orthonormal coefficients, shape (batch, coefficients), of waveforms in float64."""

    @abstractmethod
    def waveform(self, coefficients: Tensor, length: int) -> Tensor:
        """Waveforms of coefficients, shape (batch, length)."""

    @abstractmethod
    def levels(self, coefficients: Tensor, length: int) -> Tensor:
        """Euclidean norm of every group, shape (batch, groups)."""

    @abstractmethod
    def spread(self, values: Tensor, length: int) -> Tensor:
        """The value of its group for every coefficient, shape (batch, coefficients).

        Args:
            values: One value per group, shape (batch, groups).
            length: Number of samples of the waveforms.
        """

    @abstractmethod
    def dimensions(self, length: int, like: Tensor) -> Tensor:
        """Number of degrees of freedom of every group, shape (groups,), at least 1."""

    @abstractmethod
    def rounding(self, levels: Tensor, x: Tensor) -> Tensor:
        """The most that rounding adds to every group, broadcasting to (batch, groups).

        Args:
            levels: Norms of the groups of the perturbation, shape (batch, groups).
            x: The clean clips, shape (batch, time).
        """

    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform in the ball of every group."""
        way = self._steepest(rng.normal(x), x)
        limits = self._limits(x)
        share = rng.uniform(limits.to(x.dtype)).abs().double()
        share = share ** (1 / self.dimensions(x.shape[1], limits))
        return self._back(way * self.spread(self.eps * share, x.shape[1]), x)

    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Every group at its limit, in a random direction."""
        return self.direction(rng.normal(x), x) * self.eps

    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Every group along its gradient, at its limit."""
        return self._back(self._steepest(gradient, x), x)

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Shrink every group that is beyond its limit."""
        return self.project_to_radius(perturbation, perturbation.new_full((len(x),), self.eps), x)

    def project_to_radius(self, perturbation: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """Shrink every group that is beyond the radius times its limit."""
        limits = self._limits(_checked(x, self))
        found = self.coefficients(perturbation.double())
        levels = self.levels(found, x.shape[1])
        allowed = torch.where(limits > 0, radius[:, None].double() * limits, 0.0)
        noise = self.rounding(torch.minimum(levels, allowed), x.double())
        allowed = (allowed - noise).clamp_min(0)
        factor = torch.where(levels > allowed, allowed / levels, 1.0)
        return self._back(found * self.spread(factor, x.shape[1]), x)

    def project_within_bounds(
        self, perturbation: Tensor, x: Tensor, bounds: tuple[float, float]
    ) -> Tensor:
        """An allowed perturbation near by that keeps the clip within bounds.

        Clipping spreads energy over all groups. So it alternates with projection a few times, and
        at last what remains is scaled down, for ball and bounds are convex and hold the clean clip.
        """
        point = self.project(perturbation, x)
        for _ in range(_ROUNDS):
            outside = _outside(x + point, bounds)
            again = self.project((x + point).clamp(*bounds) - x, x)
            point = torch.where(per_clip(outside, x), again, point)
        clipped = (x + point).clamp(*bounds) - x
        size = self._size(clipped, x, -1.0)
        clipped = clipped * per_clip((self.eps / size).clamp_max(1.0), x).to(x)
        room = torch.where(point > 0, bounds[1] - x, x - bounds[0])
        share = torch.where(point.abs() > room, room / point.abs(), 1.0).amin(1)
        scaled = point * per_clip(share, x)
        larger = torch.where(per_clip(l2_norm(clipped) > l2_norm(scaled), x), clipped, scaled)
        return torch.where(per_clip(_outside(x + point, bounds), x), larger, point)

    def dual_norm(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Sum of the norms of the groups, times their limits."""
        limits = self._limits(_checked(x, self))
        levels = self.levels(self.coefficients(gradient.double()), x.shape[1])
        return (limits * levels).sum(1).to(gradient)

    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Largest norm of a group as a share of its limit."""
        return self._size(perturbation, x, 1.0).to(perturbation)

    def _size(self, perturbation: Tensor, x: Tensor, less: float) -> Tensor:
        limits = self._limits(_checked(x, self))
        levels = self.levels(self.coefficients(perturbation.double()), x.shape[1])
        levels = (levels - less * self.rounding(levels, x.double())).clamp_min(0)
        return torch.where(levels > 0, levels / limits, 0.0).amax(1)

    def _steepest(self, gradient: Tensor, x: Tensor) -> Tensor:
        limits = self._limits(_checked(x, self))
        found = self.coefficients(gradient.double())
        levels = self.levels(found, x.shape[1])
        return found * self.spread(torch.where(levels > 0, limits / levels, 0.0), x.shape[1])

    def _back(self, coefficients: Tensor, x: Tensor) -> Tensor:
        return self.waveform(coefficients, x.shape[1]).to(x)


def _outside(x: Tensor, bounds: tuple[float, float]) -> Tensor:
    return ((x < bounds[0]) | (x > bounds[1])).any(1)


def _checked(x: Tensor, ball: NormBall) -> Tensor:
    if x.ndim != 2:
        raise ValueError(
            f"{type(ball).__name__} limits what is audible in waveforms, shape (batch, time), and the "
            f"attacked tensor is {tuple(x.shape)}: attack the waveform, or use another ball."
        )
    return x
