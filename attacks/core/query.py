"""What a search may ask of the model under attack, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from steadyear.attacks.core.threat import ThreatModel
from steadyear.attacks.core.views import Model
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import linf_norm

ClipFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A value per clip, shape (clips,), of attacked prediction, clean prediction and target."""

Observer = Callable[[Tensor, Tensor, Tensor], None]
"""Is told perturbations, predictions and the positions of their clips, each position once."""


class GradientResult(NamedTuple):
    """A gradient in the perturbation, (clips, ...), with value (clips,) and prediction."""

    gradient: Tensor
    value: Tensor
    prediction: Tensor


class Query:
    """Values and gradients of an objective under perturbations, counted per clip.

    Searches inside of searches work on derived queries: ``select`` some clips, ``repeat`` all of
    them, aim ``at`` another objective, ``average`` a random model. What a derived query asks is
    counted for its clip in the query that it comes from, and shown to the observers there.

    Methods take perturbations of shape (clips, ...), and the positions of their clips in the batch;
    ``None`` stands for all clips.

    Args:
        forward: Function of the perturbed tensor.
        x: The clean tensor, shape (batch, ...).
        target: What the objective is measured against.
        threat: Which perturbations are allowed, and what is read.
        objective: One value per clip.
        clean_prediction: What the view reads of the clean tensor; ``None`` asks the model when it
            is needed.
        gradient_forward: The same function for gradients, faster and with its own rounding;
            ``None`` takes ``forward``.
    """

    def __init__(
        self,
        forward: Model,
        x: Tensor,
        target: Tensor,
        threat: ThreatModel,
        objective: Objective,
        clean_prediction: Tensor | None = None,
        gradient_forward: Model | None = None,
    ) -> None:
        self.forward = forward
        self.gradient_forward = gradient_forward or forward
        self.x = x
        self.target = target
        self.threat = threat
        self.objective = objective
        if clean_prediction is not None:
            self.clean_prediction = clean_prediction
        self.clips_independent = True
        """Whether some clips can be evaluated without the others."""
        self.start: Tensor | None = None
        """Allowed perturbation that the caller wants the search to begin with."""
        self.copies = 1
        """How often every clip is in the batch, copy after copy."""
        self.samples = 1
        """Evaluations of the model behind every answer."""
        self.gradient_queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.forward_queries = torch.zeros_like(self.gradient_queries)
        self._finite = torch.ones(len(x), dtype=torch.int8, device=x.device)
        self._observers: list[Observer] = []
        self._parent: Query | None = None
        self._positions: Tensor | None = None
        self._selected: tuple[Tensor, Tensor] | None = None

    @cached_property
    def clean_prediction(self) -> Tensor:
        """What the view reads of the clean tensor, shape (batch, ...)."""
        if self._parent is not None:
            clean = self._parent.clean_prediction
            return clean if self._positions is None else clean[self._positions]
        with torch.no_grad():
            # A clone, because a model may work in place on its input.
            return self.threat.view.read(self.forward(self.x.clone()))

    @property
    def is_finite(self) -> Tensor:
        """Whether every value and gradient of a clip was finite so far, shape (batch,), bool."""
        return self._finite.bool()

    def select(self, clips: Tensor) -> Query:
        """A query about some of the clips.

        Args:
            clips: Their positions.
        """
        return self._derived(clips)

    def repeat(self, copies: int) -> Query:
        """A query with every clip several times, copy after copy.

        Args:
            copies: How often.
        """
        derived = self._derived(torch.arange(len(self.x), device=self.x.device).repeat(copies))
        derived.copies = copies
        return derived

    def at(self, objective: Objective, target: Tensor, threat: ThreatModel | None = None) -> Query:
        """A query about the same clips with another aim.

        Args:
            objective: The other objective.
            target: What it is measured against.
            threat: Another threat model; ``None`` keeps this one.
        """
        derived = self._derived(None)
        derived.objective, derived.target = objective, target
        derived.threat = threat or self.threat
        fixed = derived.threat.view.at_input and self.samples == 1
        derived.clips_independent = fixed and not objective.couples_clips
        return derived

    def average(self, samples: int) -> Query:
        """A query whose answers are means over evaluations of a model that draws random numbers.

        Args:
            samples: Number of evaluations.
        """
        derived = self._derived(None)
        derived.samples, derived.start = samples, self.start
        return derived

    def observe(self, observer: Observer) -> Query:
        """The same query; every perturbation that it evaluates from now on is shown to someone.

        Args:
            observer: Called after every evaluation.
        """
        self._observers.append(observer)
        return self

    def clean_clips(self, clips: Tensor | None) -> Tensor:
        """The clean clips at some positions, shape (clips, ...).

        The same tensor for the same positions: some balls analyse a clip, once for each tensor.

        Args:
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
        """
        if clips is None:
            return self.x
        if self._selected is None or self._selected[0] is not clips:
            self._selected = (clips, self.x[clips])
        return self._selected[1]

    def project(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """Bring a perturbation back into the ball, and the result into the bounds."""
        return self.threat.project(perturbation, self.clean_clips(clips))

    def value(self, perturbation: Tensor) -> Tensor:
        """Objective per clip, shape (batch,), without gradient."""
        return self.evaluate(perturbation)[0]

    def evaluate(self, perturbation: Tensor, clips: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Objective per clip, shape (clips,), and prediction, without gradient."""
        target = self.target if clips is None else self.target[clips]
        predictions = [self._predict(perturbation, clips) for _ in range(self.samples)]
        # The mean of the objective, which is not the objective of the mean.
        values = [self.objective(prediction, target) for prediction in predictions]
        return _mean(values), _mean(predictions)

    def predict(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """What the view reads under the perturbation, shape (clips, ...), without gradient."""
        return _mean([self._predict(perturbation, clips) for _ in range(self.samples)])

    def success(self, perturbation: Tensor) -> Tensor:
        """Whether each clip's perturbation reaches the aim, shape (batch,), bool; no gradient."""
        prediction = self.predict(perturbation)
        return self.objective.success(prediction, self.clean_prediction, self.target)

    def gradient(
        self,
        perturbation: Tensor,
        clips: Tensor | None = None,
        function: ClipFunction | None = None,
    ) -> GradientResult:
        """Gradient of each clip's objective in its perturbation, and the values on the way.

        Args:
            perturbation: Perturbations of the clips, shape (clips, ...).
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
            function: What to differentiate instead of the objective, for example its margin.
        """
        results = [self._gradient(perturbation, clips, function) for _ in range(self.samples)]
        return GradientResult(*(_mean(list(parts)) for parts in zip(*results, strict=True)))

    @torch.no_grad()
    def _predict(self, perturbation: Tensor, clips: Tensor | None) -> Tensor:
        output = self.forward(self.clean_clips(clips) + perturbation)
        prediction = self.threat.view.read(output)
        self._count("forward_queries", clips)
        self._show(perturbation, prediction, clips)
        return prediction

    def _gradient(
        self, perturbation: Tensor, clips: Tensor | None, function: ClipFunction | None
    ) -> GradientResult:
        chosen = slice(None) if clips is None else clips
        perturbation = perturbation.detach().requires_grad_()
        output = self.gradient_forward(self.clean_clips(clips) + perturbation)
        prediction = self.threat.view.read(output)
        if function is None:
            values = self.objective(prediction, self.target[chosen])
        else:
            clean = self.clean_prediction[chosen]
            values = function(prediction, clean, self.target[chosen])
        # autograd.grad, never backward: parameter gradients may be accumulating.
        (gradient,) = torch.autograd.grad(values.sum(), perturbation)
        result = GradientResult(gradient, values.detach(), prediction.detach())
        self._count("gradient_queries", clips)
        # Collected, not raised: reading a flag here would synchronise the device in every step.
        self._note_finite(torch.isfinite(linf_norm(gradient)) & torch.isfinite(result.value), clips)
        self._show(perturbation.detach(), result.prediction, clips)
        return result

    def _derived(self, positions: Tensor | None) -> Query:
        chosen = slice(None) if positions is None else positions
        derived = Query(
            self.forward,
            self.x if positions is None else self.x[chosen],
            self.target[chosen],
            self.threat,
            self.objective,
            gradient_forward=self.gradient_forward,
        )
        derived.samples, derived.clips_independent = self.samples, self.clips_independent
        derived._parent, derived._positions = self, positions
        if positions is None:
            derived.copies = self.copies
        return derived

    def _in_parent(self, clips: Tensor | None) -> Tensor | None:
        if self._positions is None:
            return clips
        return self._positions if clips is None else self._positions[clips]

    def _count(self, counter: str, clips: Tensor | None) -> None:
        counts: Tensor = getattr(self, counter)
        if clips is None:
            counts += 1
        else:
            counts.index_add_(0, clips, torch.ones_like(clips, dtype=counts.dtype))
        if self._parent is not None:
            self._parent._count(counter, self._in_parent(clips))

    def _note_finite(self, finite: Tensor, clips: Tensor | None) -> None:
        flags = finite.to(self._finite.dtype)
        if clips is None:
            self._finite *= flags
        else:
            self._finite.scatter_reduce_(0, clips, flags, "amin")
        if self._parent is not None:
            self._parent._note_finite(finite, self._in_parent(clips))

    def _show(self, perturbation: Tensor, prediction: Tensor, clips: Tensor | None) -> None:
        if not self._is_observed:
            return
        rows = torch.arange(len(self.x), device=self.x.device) if clips is None else clips
        for observer in self._observers:
            observer(perturbation, prediction, rows)
        if self._parent is None:
            return
        # One copy after the other, for an observer compares what it is shown clip by clip.
        copy_of_row = rows // max(1, len(self.x) // self.copies)
        for copy in range(self.copies):
            some = slice(None) if self.copies == 1 else (copy_of_row == copy).nonzero()[:, 0]
            parent_rows = rows if self._positions is None else self._positions[rows]
            self._parent._show(perturbation[some], prediction[some], parent_rows[some])

    @property
    def _is_observed(self) -> bool:
        return bool(self._observers) or (self._parent is not None and self._parent._is_observed)


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(0)
