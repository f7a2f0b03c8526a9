"""The attack: Ball x Objective x View x Solver."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, final, get_args

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.crafting import Precision, crafting_model
from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.problem import Problem
from steadyear.attacks.core.views import Model, View
from steadyear.attacks.domains.base import Bounds
from steadyear.attacks.objectives.base import Objective, SquaredError
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams


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


class Crafted(NamedTuple):
    """Attacked clips and what they cost, not judged.

    Attributes:
        adversarial: The attacked tensor, shape (batch, ...).
        gradient_queries: Gradients of the objective that each clip cost, shape (batch,), int64.
        forward_queries: Forward passes of the search beside them, shape (batch,), int64.
    """

    adversarial: Tensor
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
        if domain is not None and domain.name != "waveform" and ball.requires_waveform:
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
    def solve(self, problem: Problem, rng: RandomStreams) -> Tensor:
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
            ValueError: If the target or the start does not fit, the attacked tensor is not real, not
                within the bounds or no sound where the ball needs one, the first gradient must
                vanish, or a domain does not give the clean prediction back at budget 0.
            FloatingPointError: If the model gives values or gradients that are not finite.
        """
        with self._bound(model, x, index, generator) as (forward, clips, rng):
            with torch.no_grad():
                # Clones, because a model may work in place on its input.
                clean_output = forward(clips.clone())
            clean = self.view.read(clean_output)
            reference = self._reference(clean, target)
            read, precision = self.view.read, self.precision
            with crafting_model(model, forward, clips, clean, read, precision) as craft:
                problem = Problem(forward, clips, reference, clean, self, craft)
                adversarial = self._found(problem, rng, start)
            # The solver is not trusted: everything is measured on what is handed out.
            with torch.no_grad():
                output = forward(adversarial.clone())
                prediction = read(output)
                result = AttackResult(
                    adversarial=adversarial,
                    perturbation=adversarial - clips,
                    clean_output=clean_output,
                    output=output,
                    clean_objective=self.objective(clean, reference),
                    objective=self.objective(prediction, reference),
                    success=self.objective.success(prediction, clean, reference),
                    size=self.ball.size(adversarial - clips, clips),
                    gradient_queries=problem.gradient_queries,
                    forward_queries=problem.forward_queries,
                )
            measured = {
                "clean objective": result.clean_objective,
                "attacked objective": result.objective,
                "perturbation": result.size,
            }
            _check_finite(measured, problem)
            return result

    @final
    def craft(
        self,
        model: Model,
        x: Tensor,
        target: Tensor | None = None,
        *,
        index: Tensor | None = None,
        generator: torch.Generator | None = None,
        start: Tensor | None = None,
    ) -> Crafted:
        """Attack without judging: the search of a call, for training.

        Saves the forward pass that judges the result, and that of the clean clips where neither target
        nor search needs it. What is handed out is inside of ball and bounds, as always.

        Args:
            model: Any callable from (batch, ...) to a tensor or an output with a prediction.
            x: Clean input, shape (batch, ...).
            target: What the objective is measured against; ``None`` takes the model's own clean
                prediction.
            index: Stable numbers of the clips, shape (batch,), which key all random numbers.
            generator: Source of random numbers for the whole batch, instead of ``index``.
            start: Perturbation to begin with instead of the attack's own first start.

        Returns:
            The attacked tensor and its cost.

        Raises:
            ValueError: As for a call.
            FloatingPointError: If the perturbation or a gradient on the way is not finite.
        """
        with self._bound(model, x, index, generator) as (forward, clips, rng):
            # One clip tells whether target and folded model fit, unless the others' predictions matter.
            shown = 1 if self._needs_no_clean(target, clips) else len(clips)
            with torch.no_grad():
                clean = self.view.read(forward(clips[:shown].clone()))
            if target is None or shown == len(clips):
                known, reference = clean, self._reference(clean, target)
            else:
                self.objective.check(clean.expand(len(clips), *clean.shape[1:]), target)
                known, reference = None, target.detach().clone()
            read, precision = self.view.read, self.precision
            with crafting_model(model, forward, clips, clean, read, precision) as craft:
                problem = Problem(forward, clips, reference, known, self, craft)
                adversarial = self._found(problem, rng, start)
            _check_finite({"perturbation": self.ball.size(adversarial - clips, clips)}, problem)
            return Crafted(adversarial, problem.gradient_queries, problem.forward_queries)

    @property
    def divisible(self) -> bool:
        """Whether some clips can be asked for without the others.

        A perturbed submodule gets its own value while the stages before it still see every clip,
        and a domain knows the clips of the whole batch.
        """
        return self.view.at_input and not self.objective.couples_clips

    @property
    def copies(self) -> int:
        """How often every clip is in the largest batch that the search asks the model about."""
        return 1

    @contextmanager
    def _bound(
        self, model: Model, x: Tensor, index: Tensor | None, generator: torch.Generator | None
    ) -> Iterator[tuple[Model, Tensor, RandomStreams]]:
        with attack_mode(model, x.device):
            # Clones, because inference tensors cannot enter autograd.
            x = x.detach().clone()
            with self.view.bind(model, x) as (forward, attacked):
                _check_clean(attacked, self.bounds)
                self.ball.check(attacked)
                dtype = attacked.dtype
                run = forward if dtype == torch.float64 else _in_dtype(forward, dtype)
                attacked = attacked if dtype == torch.float64 else attacked.float()
                yield run, attacked, RandomStreams(self.seed, index, generator)

    def _needs_no_clean(self, target: Tensor | None, clips: Tensor) -> bool:
        whole = target is not None and len(target) == len(clips)
        # A start at the clean clips is refused where they are predicted perfectly.
        searches = self.divisible and not self.starts_at_clean()
        return whole and searches and self.objective.uses_raw_target

    def _reference(self, clean: Tensor, target: Tensor | None) -> Tensor:
        reference = self.objective.reference(clean, target).detach().clone()
        self.objective.check(clean, reference)
        if self.starts_at_clean() and self.objective.flat_at(clean, reference):
            raise ValueError(
                f"{type(self).__name__} starts at the clean clip, where the gradient of "
                f"{type(self.objective).__name__} against the model's own prediction is zero: "
                "give a target, or use PGD with random_start."
            )
        return reference

    def _found(self, problem: Problem, rng: RandomStreams, start: Tensor | None) -> Tensor:
        if start is not None:
            problem.start = problem.project(_fitting(start, problem.x))
        solution = self.solve(problem, rng).detach()
        return self._apply(problem.x, problem.project(solution))

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


def _check_finite(measured: dict[str, Tensor], problem: Problem) -> None:
    found = {name: torch.isfinite(values) for name, values in measured.items()}
    found["path (objective or gradient)"] = problem.sound
    for name, finite in found.items():
        bad = int((~finite).sum())
        if bad:
            raise FloatingPointError(
                f"The {name} of {bad} of {len(finite)} clips is not finite; check the clips and "
                "the model for NaN before you trust any robustness figure."
            )
