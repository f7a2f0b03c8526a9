"""The threat model: what an attacker may change, and what it aims to change by that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Bounds


@dataclass(frozen=True)
class ThreatModel:
    """Which perturbations are allowed, where they live, and what is read from the model.

    Attributes:
        ball: Which perturbations are allowed.
        view: Where the perturbation lives and what is read.
        bounds: Smallest and largest allowed value of the attacked tensor; ``None`` for no bounds. A
            domain has its own.

    Raises:
        ValueError: If bounds are given to a view whose domain has its own, or the ball does not fit
            the domain.
    """

    ball: Ball
    view: View = field(default_factory=View)
    bounds: Bounds | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit, and take over the bounds of a domain."""
        domain = self.view.domain
        if domain is None:
            return
        # Attacks made of others pass their own bounds on: those are the domain's.
        if self.bounds not in (None, domain.bounds):
            raise ValueError(f"{type(domain).__name__} has bounds of its own: leave bounds out.")
        if domain.name != "waveform" and self.ball.requires_waveform:
            raise ValueError(
                f"{self.ball!r} is relative to the waveform of the clip, which a point of "
                f"{type(domain).__name__} is not: use Linf, L2 or L1."
            )
        object.__setattr__(self, "bounds", domain.bounds)

    def with_ball(self, ball: Ball) -> ThreatModel:
        """The same threat model with another ball.

        Args:
            ball: The other ball.
        """
        return replace(self, ball=ball)

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Bring perturbations back into the ball, and the results into the bounds.

        Args:
            perturbation: Perturbations, shape (batch, ...).
            x: The clean clips, shape (batch, ...).
        """
        if self.bounds is None:
            return self.ball.project(perturbation, x)
        return self.ball.project_within_bounds(perturbation, x, self.bounds)
