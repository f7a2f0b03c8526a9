"""What a solver may ask of the model under attack."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from steadyear.attacks.core.views import Model
from steadyear.attacks.signal.sizes import linf_norm

if TYPE_CHECKING:
    from steadyear.attacks.core.attack import Attack

Aim = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A value per clip, shape (clips,), of attacked prediction, clean prediction and target."""


class Probe(NamedTuple):
    """One look at the model.

    Attributes:
        gradient: Gradient of the objective in the perturbation, shape (clips, ...).
        value: Objective, shape (clips,).
        prediction: What the view read, shape (clips, ...).
    """

    gradient: Tensor
    value: Tensor
    prediction: Tensor


class Problem:
    """What a solver may ask: values and gradients of the objective, counted.

    ``start`` is the allowed perturbation that the caller wants to begin with, or ``None``; ``copies``
    is how often every clip is in the batch.

    Args:
        forward: Function of the perturbed tensor.
        x: The clean tensor, shape (batch, ...).
        target: What the objective is measured against.
        clean: What the view reads of the clean tensor; ``None`` asks the model when it is needed.
        attack: Supplies ball, objective, view and bounds.
        craft: The same function for gradients, faster and with its own rounding; ``None`` takes
            ``forward``.
    """

    def __init__(
        self,
        forward: Model,
        x: Tensor,
        target: Tensor,
        clean: Tensor | None,
        attack: Attack,
        craft: Model | None = None,
    ) -> None:
        self.forward = forward
        self.craft = craft or forward
        self.x = x
        self.target = target
        self.attack = attack
        if clean is not None:
            self.clean = clean
        self.start: Tensor | None = None
        self.copies = 1
        self._chosen: tuple[Tensor, Tensor] | None = None
        self.gradient_queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.forward_queries = torch.zeros_like(self.gradient_queries)
        self.sound = torch.ones(len(x), dtype=torch.bool, device=x.device)

    @cached_property
    def clean(self) -> Tensor:
        """What the view reads of the clean tensor, shape (batch, ...)."""
        with torch.no_grad():
            # A clone, because a model may work in place on its input.
            return self.attack.view.read(self.forward(self.x.clone()))

    def chosen(self, clips: Tensor | None) -> Tensor:
        """The clean clips at some positions, shape (clips, ...).

        The same tensor for the same positions: some balls analyse a clip, and do so once for a tensor.

        Args:
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
        """
        if clips is None:
            return self.x
        if self._chosen is None or self._chosen[0] is not clips:
            self._chosen = (clips, self.x[clips])
        return self._chosen[1]

    def project(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """Bring a perturbation back into the ball, and the result into the bounds.

        Args:
            perturbation: Perturbations of the clips, shape (clips, ...).
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
        """
        x = self.chosen(clips)
        ball, bounds = self.attack.ball, self.attack.bounds
        if bounds is None:
            return ball.project(perturbation, x)
        return ball.project_within_bounds(perturbation, x, bounds)

    @property
    def divisible(self) -> bool:
        """Whether some clips can be asked for without the others."""
        return self.attack.divisible

    def value(self, perturbation: Tensor) -> Tensor:
        """Objective per clip, shape (batch,), without gradient."""
        return self.judged(perturbation)[0]

    def judged(self, perturbation: Tensor, clips: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Objective per clip, shape (clips,), and prediction, without gradient.

        Args:
            perturbation: Perturbations of the clips, shape (clips, ...).
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
        """
        prediction = self.predict(perturbation, clips)
        target = self.target if clips is None else self.target[clips]
        return self.attack.objective(prediction, target), prediction

    def success(self, perturbation: Tensor) -> Tensor:
        """Whether each clip's perturbation reaches the aim, shape (batch,), bool; no gradient."""
        prediction = self.predict(perturbation)
        return self.attack.objective.success(prediction, self.clean, self.target)

    @torch.no_grad()
    def predict(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """What the view reads under the perturbation, shape (clips, ...), without gradient.

        Args:
            perturbation: Perturbations of the clips, shape (clips, ...).
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
        """
        self.forward_queries[slice(None) if clips is None else clips] += 1
        return self.attack.view.read(self.forward(self.chosen(clips) + perturbation))

    def gradient(
        self, perturbation: Tensor, clips: Tensor | None = None, aim: Aim | None = None
    ) -> Probe:
        """Gradient of each clip's objective in its perturbation, and what was seen on the way.

        Args:
            perturbation: Perturbations of the clips, shape (clips, ...).
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
            aim: What to differentiate instead of the objective, for example its margin.
        """
        chosen = slice(None) if clips is None else clips
        perturbation = perturbation.detach().requires_grad_()
        prediction = self.attack.view.read(self.craft(self.chosen(clips) + perturbation))
        if aim is None:
            values = self.attack.objective(prediction, self.target[chosen])
        else:
            values = aim(prediction, self.clean[chosen], self.target[chosen])
        # autograd.grad, never backward: parameter gradients may be accumulating.
        (gradient,) = torch.autograd.grad(values.sum(), perturbation)
        self.gradient_queries[chosen] += 1
        # Collected, not raised: asking here would wait for the device in every step.
        self.sound[chosen] &= torch.isfinite(linf_norm(gradient)) & torch.isfinite(values.detach())
        return Probe(gradient, values.detach(), prediction.detach())


class Subset(Problem):
    """Some clips of a problem; what is asked about them is asked of the whole, which counts it.

    Args:
        whole: The problem; its clips must not depend on each other.
        clips: Positions of the clips.
    """

    def __init__(self, whole: Problem, clips: Tensor) -> None:
        super().__init__(
            whole.forward,
            whole.x[clips],
            whole.target[clips],
            whole.clean[clips],
            whole.attack,
            whole.craft,
        )
        self.whole, self.everyone = whole, clips

    def predict(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """As the whole does."""
        return self.whole.predict(perturbation, self._positions(clips))

    def gradient(
        self, perturbation: Tensor, clips: Tensor | None = None, aim: Aim | None = None
    ) -> Probe:
        """As the whole does."""
        return self.whole.gradient(perturbation, self._positions(clips), aim)

    def _positions(self, clips: Tensor | None) -> Tensor:
        return self.everyone if clips is None else self.everyone[clips]
