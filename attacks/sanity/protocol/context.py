"""What a check may look at: an attack, some clips, and what was found on them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steadyear.attacks.black_box.noise import Noise
from steadyear.attacks.black_box.random_search import RandomSearch
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.result import AttackResult
from steadyear.attacks.core.views import Model, prediction_of
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.classes import ClassObjective
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams

NORMS = ("linf", "l2")
"""Balls that checks know without asking them."""


class AttackOutcome(NamedTuple):
    """What an attack returned for some clips; tensors have shape (clips, ...).

    Attributes:
        clean: What the view reads of the clean clips.
        prediction: What the view reads of the attacked clips.
        adversarial: The attacked tensor.
        perturbation: Attacked minus clean tensor.
        clean_objective: Objective before the attack, shape (clips,).
        objective: Objective after the attack, shape (clips,).
        success: Whether the aim was reached, shape (clips,).
        queries: Gradients that each clip cost, shape (clips,).
        half: Whether the model's own output was in half precision.
    """

    clean: Tensor
    prediction: Tensor
    adversarial: Tensor
    perturbation: Tensor
    clean_objective: Tensor
    objective: Tensor
    success: Tensor
    queries: Tensor
    half: bool

    def first(self, clips: int) -> AttackOutcome:
        """The same for the first clips."""
        return AttackOutcome(
            self.clean[:clips],
            self.prediction[:clips],
            self.adversarial[:clips],
            self.perturbation[:clips],
            self.clean_objective[:clips],
            self.objective[:clips],
            self.success[:clips],
            self.queries[:clips],
            self.half,
        )


def outcome_of(result: AttackResult, attack: Attack) -> AttackOutcome:
    """What an attack returned.

    Args:
        result: The result of the attack.
        attack: The attack.
    """
    raw = result.output if attack.view.field != "prediction" else prediction_of(result.output)
    half = isinstance(raw, Tensor) and raw.dtype in (torch.float16, torch.bfloat16)
    return AttackOutcome(
        attack.view.read(result.clean_output),
        attack.view.read(result.output),
        result.adversarial,
        result.perturbation,
        result.clean_objective,
        result.objective,
        result.success,
        result.gradient_queries,
        half,
    )


@dataclass(frozen=True)
class CheckContext:
    """One attack at one budget on some clips.

    Attributes:
        name: Name of the attack in tables.
        attack: The attack at its budget.
        model: The model under attack.
        x: Clean input, shape (clips, ...).
        target: What the objective is measured against; ``None`` takes the model's own prediction.
        index: Stable numbers of the clips, shape (clips,).
        outcome: What the attack returned; ``None`` before it ran.
        path: Objectives that the solver saw at every gradient, shape (clips,) each.
        others: Other models by name, for transfer.
        twin: An undefended model of the same architecture.
    """

    name: str
    attack: Attack
    model: Model
    x: Tensor
    target: Tensor | None
    index: Tensor
    outcome: AttackOutcome | None = None
    path: tuple[Tensor, ...] = ()
    others: Mapping[str, Model] = field(default_factory=dict)
    twin: Model | None = None

    @property
    def objective(self) -> Objective:
        """What the attack maximises."""
        return self.attack.objective

    @property
    def budget(self) -> float:
        """Budget of the attack."""
        return self.attack.ball.eps

    @property
    def got(self) -> AttackOutcome:
        """What the attack returned.

        Raises:
            ValueError: If it did not run.
        """
        if self.outcome is None:
            raise ValueError(f"The attack {self.name} did not run yet.")
        return self.outcome

    @property
    def bounded(self) -> bool:
        """Whether there is a finite budget above zero that the attack spends."""
        finite = math.isfinite(self.budget) and self.budget > 0
        return finite and not isinstance(self.attack, MinimalNorm)

    @property
    def aimed(self) -> bool:
        """Whether it spends a budget with an aim; random points have none."""
        return self.bounded and not isinstance(self.attack, Noise | RandomSearch)

    @property
    def iterative(self) -> bool:
        """Whether it took more than one gradient; measured, not declared."""
        return self.aimed and bool((self.got.queries > 1).all())

    def first(self, clips: int) -> CheckContext:
        """The same for the first clips; for all of them where their values hang together."""
        if self.objective.couples_clips:
            return self
        return replace(
            self,
            x=self.x[:clips],
            target=None if self.target is None else self.target[:clips],
            index=self.index[:clips],
            outcome=None if self.outcome is None else self.outcome.first(clips),
            path=tuple(values[:clips] for values in self.path),
        )

    def run(self, attack: Attack, model: Model | None = None) -> AttackOutcome:
        """Run another attack on the same clips.

        Args:
            attack: The attack.
            model: The model to attack; ``None`` takes the one of the context.
        """
        result = attack(
            self.model if model is None else model, self.x, self.target, index=self.index
        )
        return outcome_of(result, attack)

    def with_changes(self, **attributes: Any) -> Attack:
        """The attack with other attributes, such as ``steps`` or ``seed``."""
        attack = copy.copy(self.attack)
        for name, value in attributes.items():
            setattr(attack, name, value)
        return attack

    @contextmanager
    def bound_model(self) -> Iterator[BoundModel]:
        """The function that the attack sees, in the state in which it is attacked."""
        with attack_mode(self.model, self.x.device):
            x = self.x.detach().clone()
            with self.attack.view.bind(self.model, x) as (forward, start):
                with torch.no_grad():
                    clean = self.attack.view.read(forward(start.clone()))
                target = self.objective.reference(clean, self.target)
                yield BoundModel(forward, self.attack, start, target.clone(), clean)


@dataclass(frozen=True)
class BoundModel:
    """A model as a function of the perturbed tensor.

    Attributes:
        forward: The function.
        attack: Knows view and objective.
        start: The clean tensor, shape (clips, ...).
        target: What the objective is measured against.
        clean: What the view reads of the clean tensor.
    """

    forward: Model
    attack: Attack
    start: Tensor
    target: Tensor
    clean: Tensor

    @torch.no_grad()
    def prediction(self, x: Tensor) -> Tensor:
        """What the view reads, without gradient."""
        return self.attack.view.read(self.forward(x.clone()))

    def value(self, x: Tensor) -> Tensor:
        """Objective per clip, shape (clips,), without gradient."""
        return self.attack.objective(self.prediction(x), self.target)

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Objective per clip with its graph, and its gradient; ``None`` where it reaches no input."""
        leaf = x.detach().clone().requires_grad_()
        # A sum, because a model may work in place on its input, which a leaf forbids.
        values = self.attack.objective(self.attack.view.read(self.forward(leaf + 0)), self.target)
        if not values.requires_grad:
            return values, None
        gradients = torch.autograd.grad(values.sum(), leaf, retain_graph=True, allow_unused=True)
        return values, gradients[0]

    def nearby(self, index: Tensor) -> Tensor:
        """A random point close to the clean one, where no objective is flat by construction."""
        rng = RandomStreams(self.attack.seed, index, stream=_STREAM)
        if isinstance(self.attack, MinimalNorm) or not 0 < self.attack.ball.eps < math.inf:
            step = rng.uniform(self.start) * per_clip(1e-2 * loudness(self.start), self.start)
        else:
            step = self.attack.ball.sample_in_ball(self.start, rng)
        return self.within(self.start + step)

    def within(self, x: Tensor) -> Tensor:
        """Clip to the attack's bounds."""
        return x if self.attack.bounds is None else x.clamp(*self.attack.bounds)


_STREAM = 1_000_003  # far from the numbers that attacks give to their restarts


def loudness(x: Tensor) -> Tensor:
    """Root mean square of each clip, shape (clips,); 1 for silence."""
    rms = x.flatten(1).square().mean(1).sqrt()
    return torch.where(rms > 0, rms, 1.0)


def harm(objective: Objective, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
    """What a clip's attack achieved, shape (clips,): for classes right or wrong, else the objective.

    A cross-entropy may grow long after the class is wrong.

    Args:
        objective: What the attack maximises.
        prediction: Predictions under attack.
        clean: Predictions without attack.
        target: What the objective is measured against.
    """
    if isinstance(objective, ClassObjective):
        return objective.success(prediction, clean, target).double()
    return objective(prediction, target).double()


def slack(values: Tensor) -> Tensor:
    """Difference of objectives that is rounding, shape of ``values``."""
    return 1e-4 * values.abs() + 1e-7


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Largest difference of each clip as a share of the largest value, shape (clips,).

    Args:
        a: Values, shape (clips, ...).
        b: Other values, same shape.
    """
    a, b = a.double().flatten(1), b.double().flatten(1)
    scale = b.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    gap = (a - b).abs().amax(1) / scale
    return gap.nan_to_num(nan=torch.inf)
