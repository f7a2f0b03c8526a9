"""The attack: Ball x Objective x View x Solver."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, final, get_args

import torch
from torch import Tensor

from attacks.balls import Ball
from attacks.crafting import Precision, crafting_model
from attacks.domains.base import Bounds
from attacks.draws import Draws
from attacks.mode import attack_mode
from attacks.objectives import Objective, SquaredError
from attacks.sizes import linf_norm, per_clip
from attacks.views import Model, View

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
        clean: What the view reads of the clean tensor.
        attack: Supplies ball, objective, view and bounds.
        craft: The same function for gradients, faster and with its own rounding; ``None`` takes
            ``forward``.
    """

    def __init__(
        self,
        forward: Model,
        x: Tensor,
        target: Tensor,
        clean: Tensor,
        attack: Attack,
        craft: Model | None = None,
    ) -> None:
        self.forward = forward
        self.craft = craft or forward
        self.x = x
        self.target = target
        self.clean = clean
        self.attack = attack
        self.start: Tensor | None = None
        self.copies = 1
        self.gradient_queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.forward_queries = torch.zeros_like(self.gradient_queries)
        self.sound = torch.ones(len(x), dtype=torch.bool, device=x.device)

    def project(self, perturbation: Tensor, clips: Tensor | None = None) -> Tensor:
        """Bring a perturbation back into the ball, and the result into the bounds.

        Args:
            perturbation: Perturbations of the clips, shape (clips, ...).
            clips: Positions of the clips in the batch; ``None`` stands for all of them.
        """
        x = self.x if clips is None else self.x[clips]
        ball, bounds = self.attack.ball, self.attack.bounds
        if bounds is None:
            return ball.project(perturbation, x)
        return ball.bounded(perturbation, x, bounds)

    @property
    def divisible(self) -> bool:
        """Whether some clips can be asked for without the others.

        A perturbed submodule gets its own value while the stages before it still see every clip,
        and a domain knows the clips of the whole batch.
        """
        return self.attack.view.at_input and not self.attack.objective.couples_clips

    def value(self, perturbation: Tensor) -> Tensor:
        """Objective per clip, shape (batch,), without gradient."""
        return self.attack.objective(self.predict(perturbation), self.target)

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
        chosen = slice(None) if clips is None else clips
        self.forward_queries[chosen] += 1
        return self.attack.view.read(self.forward(self.x[chosen] + perturbation))

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
        prediction = self.attack.view.read(self.craft(self.x[chosen] + perturbation))
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


@dataclass(frozen=True)
class AttackResult:
    """What an attack found; every number is recomputed from the returned tensor.

    Attributes:
        adversarial: The attacked tensor, shape (batch, ...).
        perturbation: Attacked minus clean tensor.
        clean_output: The model's output on the clean tensor, detached.
        output: The model's output on the attacked tensor, detached.
        clean_objective: Objective before the attack, shape (batch,).
        objective: Objective after the attack, shape (batch,).
        success: Whether each clip's attack reached its aim, shape (batch,), bool.
        size: Size of each perturbation in the ball's norm, shape (batch,).
        gradient_queries: Gradients of the objective that each clip cost, shape (batch,), int64.
        forward_queries: Forward passes without gradient that each clip's search cost beside them,
            shape (batch,), int64; the two that every attack is measured by are not counted.
    """

    adversarial: Tensor
    perturbation: Tensor
    clean_output: Any
    output: Any
    clean_objective: Tensor
    objective: Tensor
    success: Tensor
    size: Tensor
    gradient_queries: Tensor
    forward_queries: Tensor


class Attack(ABC):
    """Base of every attack: subclasses solve, this class checks.

    Any callable can be attacked. The model's mode, gradients and hooks and the global random
    state are left as they were, also when the attack is interrupted.

    Args:
        ball: Which perturbations are allowed.
        objective: What is maximised; ``None`` stands for ``SquaredError()``.
        view: Where the perturbation lives and what is read; ``None`` stands for input and
            prediction.
        bounds: Smallest and largest allowed value of the attacked tensor; ``None`` for no bounds,
            or those of the view's domain.
        seed: First part of the key of every random number.
        precision: In what the solver's gradients are computed. ``"fp32"`` is the model's own
            precision. ``"bf16"`` is faster where the processor has fast bfloat16 arithmetic;
            perturbation, projection and all that is reported stay in full precision.

    Raises:
        ValueError: If the precision is unknown, bfloat16 is asked for inside a model, bounds are
            given to a view whose domain has its own, or the ball does not fit the domain.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        view: View | None = None,
        bounds: Bounds | None = None,
        seed: int = 0,
        precision: Precision = "fp32",
    ) -> None:
        self.ball = ball
        self.objective = objective or SquaredError()
        self.view = view or View()
        domain = self.view.domain
        # Attacks that are made of others hand their own bounds on: those are the domain's.
        if domain is not None and bounds not in (None, domain.bounds):
            raise ValueError(f"{type(domain).__name__} has bounds of its own: leave bounds out.")
        if domain is not None and domain.name != "waveform" and ball.of_sounds:
            raise ValueError(
                f"{ball!r} is relative to the clip's own sound, which a point of "
                f"{type(domain).__name__} is not, so that it would allow nothing or anything: "
                "use Linf, L2 or L1."
            )
        self.bounds = bounds if domain is None else domain.bounds
        self.seed = seed
        if precision not in get_args(Precision):
            raise ValueError(f"precision is one of {get_args(Precision)}, not {precision!r}.")
        if precision == "bf16" and self.view.perturb_at is not None:
            raise ValueError(
                f"A perturbation of '{self.view.perturb_at}', inside the model, would be rounded "
                "to bfloat16: use precision='fp32' there."
            )
        self.precision: Precision = precision

    def __repr__(self) -> str:
        """Show the class, its ball and its objective."""
        return f"{type(self).__name__}({self.ball!r}, {type(self.objective).__name__})"

    def at(self, eps: float) -> Self:
        """The same attack with another budget."""
        attack = copy.copy(self)
        attack.ball = self.ball.at(eps)
        return attack

    @abstractmethod
    def solve(self, problem: Problem, draws: Draws) -> Tensor:
        """Find a perturbation, shape (batch, ...), that makes the objective large."""

    def starts_at_clean(self) -> bool:
        """Whether the first gradient is taken at the clean tensor."""
        return False

    @final
    def __call__(
        self,
        model: Model,
        x: Tensor,
        target: Tensor | None = None,
        *,
        index: Tensor | None = None,
        generator: torch.Generator | None = None,
        start: Tensor | None = None,
    ) -> AttackResult:
        """Attack ``model`` at ``x``.

        Args:
            model: Any callable from (batch, ...) to a tensor or an output with a prediction.
            x: Clean input, shape (batch, ...).
            target: What the objective is measured against; ``None`` takes the model's own clean
                prediction.
            index: Stable numbers of the clips, shape (batch,), which key all random numbers;
                results then do not depend on the batch.
            generator: Source of random numbers for the whole batch, instead of ``index``.
            start: Perturbation to begin with instead of the attack's own first start, in the shape
                of the attacked tensor; it is projected. Attacks that begin at the clean clip or
                have no path ignore it.

        Returns:
            The attacked tensor and all that was measured on it.

        Raises:
            ValueError: If the target or the start does not fit, the attacked tensor is not real or
                not within the bounds, the first gradient must vanish, or a domain does not give the
                clean prediction back at budget 0.
            FloatingPointError: If the model gives values or gradients that are not finite.
        """
        with attack_mode(model, x.device):
            # Clones, because inference tensors cannot enter autograd.
            x = x.detach().clone()
            with self.view.bind(model, x) as (forward, attacked):
                _check_clean(attacked, self.bounds)
                dtype = attacked.dtype
                run = forward if dtype == torch.float64 else _in_dtype(forward, dtype)
                draws = Draws(self.seed, index, generator)
                attacked = attacked if dtype == torch.float64 else attacked.float()
                return self._attack(model, run, attacked, target, draws, start)

    def _attack(
        self,
        model: Model,
        forward: Model,
        x: Tensor,
        target: Tensor | None,
        draws: Draws,
        start: Tensor | None,
    ) -> AttackResult:
        with torch.no_grad():
            # Clones, because a model may work in place on its input.
            clean_output = forward(x.clone())
        clean = self.view.read(clean_output)
        reference = self.objective.reference(clean, target).detach().clone()
        self.objective.check(clean, reference)
        if self.starts_at_clean() and self.objective.flat_at(clean, reference):
            raise ValueError(
                f"{type(self).__name__} starts at the clean clip, where the gradient of "
                f"{type(self.objective).__name__} against the model's own prediction is zero: "
                "give a target, or use PGD with random_start."
            )
        read, precision = self.view.read, self.precision
        with crafting_model(model, forward, x, clean, read, precision) as craft:
            problem = Problem(forward, x, reference, clean, self, craft)
            problem.start = None if start is None else problem.project(_fitting(start, x))
            solution = self.solve(problem, draws).detach()
        # The solver is not trusted: project again, then measure on what is handed out.
        adversarial = self._apply(x, problem.project(solution))
        with torch.no_grad():
            output = forward(adversarial.clone())
            prediction = self.view.read(output)
            result = AttackResult(
                adversarial=adversarial,
                perturbation=adversarial - x,
                clean_output=clean_output,
                output=output,
                clean_objective=self.objective(clean, reference),
                objective=self.objective(prediction, reference),
                success=self.objective.success(prediction, clean, reference),
                size=self.ball.size(adversarial - x, x),
                gradient_queries=problem.gradient_queries,
                forward_queries=problem.forward_queries,
            )
        _check_finite(result, problem)
        return result

    def _apply(self, x: Tensor, perturbation: Tensor) -> Tensor:
        adversarial = x + perturbation
        # The sum is rounded to the grid of x, up to half a step outside of the ball and the bounds:
        # one step back towards the clean clip is inside again.
        outside = self.ball.size(adversarial - x, x) > self.ball.eps
        adversarial = torch.where(per_clip(outside, x), adversarial.nextafter(x), adversarial)
        return adversarial if self.bounds is None else adversarial.clamp(*self.bounds)


def _in_dtype(forward: Model, dtype: torch.dtype) -> Model:
    """Keep the perturbation in fp32 and hand the model the precision that it was given."""
    return forward if dtype == torch.float32 else lambda x: forward(x.to(dtype))


def _fitting(start: Tensor, x: Tensor) -> Tensor:
    if start.shape != x.shape:
        raise ValueError(
            f"The start is a perturbation {tuple(start.shape)}, and the attacked tensor is "
            f"{tuple(x.shape)}; they need one shape."
        )
    return start.detach().to(x)


def _check_clean(x: Tensor, bounds: Bounds | None) -> None:
    if not x.is_floating_point():
        raise ValueError(
            f"Gradients need real values, and the attacked tensor is {x.dtype}; name a submodule "
            "with real outputs in View(perturb_at=...)."
        )
    if bounds is not None and not bool(((x >= bounds[0]) & (x <= bounds[1])).all()):
        raise ValueError(
            f"The clean values reach from {float(x.min()):g} to {float(x.max()):g}, beyond the "
            f"bounds {bounds}: clamp the clips, or give the bounds of the attacked tensor."
        )


def _check_finite(result: AttackResult, problem: Problem) -> None:
    found = {
        "clean objective": torch.isfinite(result.clean_objective),
        "attacked objective": torch.isfinite(result.objective),
        "perturbation": torch.isfinite(result.size),
        "path (objective or gradient)": problem.sound,
    }
    for name, finite in found.items():
        bad = int((~finite).sum())
        if bad:
            raise FloatingPointError(
                f"The {name} of {bad} of {len(finite)} clips is not finite; check the clips and "
                "the model for NaN before you trust any robustness figure."
            )
