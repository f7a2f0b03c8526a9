"""What every ball promises: which perturbations are allowed, clip by clip."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from torch import Tensor

from steadyear.foundation.random_streams import RandomStreams

_SOUND_DIMENSIONS = 3  # batch, channels, time; a batch of spectrograms has four


class Ball(ABC):
    """The set of allowed perturbations around a clip; what is allowed may depend on the clip.

    All methods take perturbations, or gradients, and the clean clips ``x`` they belong to, both of
    shape (batch, ...).

    Args:
        eps: Budget in the unit of the attacked domain (z-units for standardised spectrograms).

    Raises:
        ValueError: If the budget is negative.
    """

    norm: ClassVar[str]
    """Key of the norm in the tables of clips."""

    label: ClassVar[str]
    """How reports write the norm."""

    relative_unit: ClassVar[str | None] = None
    """Unit of the budget, where it is not that of the attacked domain."""

    requires_waveform: ClassVar[bool] = False
    """Whether the budget is relative to what the clip sounds like."""

    search_parameters: ClassVar[tuple[str, ...]] = ()
    """Settings that steer a search, and do not change what is allowed."""

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

    def check(self, x: Tensor) -> None:
        """Refuse clips that are no sounds, if the budget is relative to what they sound like.

        Args:
            x: Clean attacked tensor, shape (batch, ...).

        Raises:
            ValueError: If it has more dimensions than (batch, channels, time).
        """
        if self.requires_waveform and x.ndim > _SOUND_DIMENSIONS:
            raise ValueError(
                f"{self!r} is relative to the clip's own sound, but the attacked tensor is "
                f"{tuple(x.shape)}, and not (batch, time) or (batch, channels, time): attack waveforms "
                "(data.init_args.stream: waveform, or both with the callback's keys.input: waveform; "
                "WaveformDomain keeps them within full scale), or use Linf or L2."
            )

    @abstractmethod
    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """A random perturbation, uniform in the ball around each clip of ``x``."""

    @abstractmethod
    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """A random perturbation that spends the whole budget of each clip."""

    @abstractmethod
    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Steepest ascent of unit size in this norm; zero where the gradient is zero."""

    @abstractmethod
    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """The nearest allowed perturbation of each clip."""

    def project_within_bounds(
        self, perturbation: Tensor, x: Tensor, bounds: tuple[float, float]
    ) -> Tensor:
        """An allowed perturbation near by that keeps the clip within bounds.

        Projected, then clipped: where it is enough for a ball that every value is moved towards the
        clean one, clipping cannot leave it again. Other balls need a way of their own.

        Args:
            perturbation: Perturbations, shape (batch, ...).
            x: The clean clips, within the bounds, shape (batch, ...).
            bounds: Smallest and largest allowed value of the attacked tensor.
        """
        return (x + self.project(perturbation, x)).clamp(*bounds) - x

    @abstractmethod
    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Size of each clip's perturbation in the unit of ``eps``, shape (batch,)."""


class NormBall(Ball):
    """A ball of a norm: what minimal-norm attacks can search in."""

    @abstractmethod
    def project_to_radius(self, perturbation: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """The nearest perturbation of each clip whose size is at most ``radius``.

        Args:
            perturbation: Perturbations, shape (batch, ...).
            radius: Largest sizes, shape (batch,), in the unit of ``eps``; may be infinite.
            x: The clean clips, shape (batch, ...).
        """

    def search_direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Which way a search steps that is drawn back into a radius afterwards; its unit is the radius.

        The steepest ascent, unless drawing back makes the best of longer steps.
        """
        return self.direction(gradient, x)

    @abstractmethod
    def dual_norm(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Largest change, to first order, that a perturbation of size 1 makes, shape (batch,)."""
