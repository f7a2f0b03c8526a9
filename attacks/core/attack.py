"""The attack: a threat model, an objective, and a search."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self, TypedDict, Unpack, final, get_args

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.checks import check_clean, check_finite, fitting_start, in_dtype
from steadyear.attacks.core.crafting import Precision, crafting_model
from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.query import Query
from steadyear.attacks.core.result import AttackResult, Crafted
from steadyear.attacks.core.threat import ThreatModel
from steadyear.attacks.core.views import Model, View
from steadyear.attacks.domains.base import Bounds
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.regression import SquaredError
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams


class AttackSettings(TypedDict, total=False):
    """What every attack can be given beside its ball, its objective and its own options.

    Attributes:
        view: Where the perturbation lives and what is read; ``None`` stands for input and
            prediction.
        bounds: Smallest and largest allowed value of the attacked tensor; ``None`` for no bounds,
            or those of the view's domain.
        seed: First part of the key of every random number.
        precision: In what the gradients of the search are computed. ``"fp32"`` is the model's own
            precision. ``"bf16"`` is faster where the processor has fast bfloat16 arithmetic;
            perturbation, projection and all that is reported stay in full precision.
    """

    view: View | None
    bounds: Bounds | None
    seed: int
    precision: Precision


class Attack(ABC):
    """Base of every attack: subclasses search, this class checks.

    Any callable can be attacked. The model's mode, gradients and hooks and the global random
    state are left as they were, also when the attack is interrupted.

    Args:
        ball: Which perturbations are allowed.
        objective: What is maximised; ``None`` stands for ``SquaredError()``.
        settings: View, bounds, seed and precision; see ``AttackSettings``.

    Raises:
        ValueError: If the precision is unknown, bfloat16 is asked for inside a model, bounds are
            given to a view whose domain has its own, or the ball does not fit the domain.
    """

    def __init__(
        self, ball: Ball, objective: Objective | None = None, **settings: Unpack[AttackSettings]
    ) -> None:
        view = settings.get("view") or View()
        self.threat = ThreatModel(ball, view, settings.get("bounds"))
        self.objective = objective or SquaredError()
        self.seed = settings.get("seed", 0)
        precision = settings.get("precision", "fp32")
        if precision not in get_args(Precision):
            raise ValueError(f"precision is one of {get_args(Precision)}, not {precision!r}.")
        if precision == "bf16" and view.perturb_at is not None:
            raise ValueError(
                f"A perturbation of '{view.perturb_at}', inside the model, would be rounded "
                "to bfloat16: use precision='fp32' there."
            )
        self.precision: Precision = precision

    def __repr__(self) -> str:
        """Show the class, its ball and its objective."""
        return f"{type(self).__name__}({self.ball!r}, {type(self.objective).__name__})"

    @property
    def ball(self) -> Ball:
        """Which perturbations are allowed."""
        return self.threat.ball

    @property
    def view(self) -> View:
        """Where the perturbation lives and what is read."""
        return self.threat.view

    @property
    def bounds(self) -> Bounds | None:
        """Smallest and largest allowed value of the attacked tensor."""
        return self.threat.bounds

    @property
    def settings(self) -> AttackSettings:
        """The settings that an attack made of this one passes on."""
        # A domain brings bounds of its own.
        bounds = self.bounds if self.view.domain is None else None
        return AttackSettings(
            view=self.view, bounds=bounds, seed=self.seed, precision=self.precision
        )

    def with_ball(self, ball: Ball) -> Self:
        """The same attack in another ball."""
        attack = copy.copy(self)
        attack.threat = self.threat.with_ball(ball)
        return attack

    def at(self, eps: float) -> Self:
        """The same attack with another budget, in the unit of the ball."""
        return self.with_ball(self.ball.at(eps))

    @abstractmethod
    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
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
                query = self._query(forward, clips, reference, clean, craft)
                adversarial = self._found(query, rng, start)
            # The solver is not trusted: everything is measured on what is returned.
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
                    gradient_queries=query.gradient_queries,
                    forward_queries=query.forward_queries,
                )
            check_finite(
                {
                    "clean objective": result.clean_objective,
                    "attacked objective": result.objective,
                    "perturbation": result.size,
                },
                query,
            )
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
        """The search of a call without the passes that judge its result, for training.

        Arguments and errors are those of a call. Perturbations stay within ball and bounds, and the
        clean clips are predicted only where target or search needs it.

        Returns:
            The attacked tensor and its cost.
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
                query = self._query(forward, clips, reference, known, craft)
                adversarial = self._found(query, rng, start)
            check_finite({"perturbation": self.ball.size(adversarial - clips, clips)}, query)
            return Crafted(adversarial, query.gradient_queries, query.forward_queries)

    @property
    def clips_independent(self) -> bool:
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
                check_clean(attacked, self.bounds)
                self.ball.check(attacked)
                dtype = attacked.dtype
                run = forward if dtype == torch.float64 else in_dtype(forward, dtype)
                attacked = attacked if dtype == torch.float64 else attacked.float()
                yield run, attacked, RandomStreams(self.seed, index, generator)

    def _query(
        self, forward: Model, x: Tensor, target: Tensor, clean: Tensor | None, craft: Model
    ) -> Query:
        query = Query(forward, x, target, self.threat, self.objective, clean, craft)
        query.clips_independent = self.clips_independent
        return query

    def _needs_no_clean(self, target: Tensor | None, clips: Tensor) -> bool:
        whole = target is not None and len(target) == len(clips)
        # A start at the clean clips is refused where they are predicted perfectly.
        searches = self.clips_independent and not self.starts_at_clean()
        return whole and searches and self.objective.uses_raw_target

    def _reference(self, clean: Tensor, target: Tensor | None) -> Tensor:
        reference = self.objective.reference(clean, target).detach().clone()
        self.objective.check(clean, reference)
        if self.starts_at_clean() and self.objective.stationary_at(clean, reference):
            raise ValueError(
                f"{type(self).__name__} starts at the clean clip, where the gradient of "
                f"{type(self.objective).__name__} against the model's own prediction is zero: "
                "give a target, or use PGD with random_start."
            )
        return reference

    def _found(self, query: Query, rng: RandomStreams, start: Tensor | None) -> Tensor:
        if start is not None:
            query.start = query.project(fitting_start(start, query.x))
        solution = self.solve(query, rng).detach()
        return self._apply(query.x, query.project(solution))

    def _apply(self, x: Tensor, perturbation: Tensor) -> Tensor:
        adversarial = x + perturbation
        # The sum is rounded to the grid of x, up to half a step outside of the ball and the bounds:
        # one step back towards the clean clip is inside again.
        outside = self.ball.size(adversarial - x, x) > self.ball.eps
        adversarial = torch.where(per_clip(outside, x), adversarial.nextafter(x), adversarial)
        return adversarial if self.bounds is None else adversarial.clamp(*self.bounds)
