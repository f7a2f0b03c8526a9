"""One perturbation for all clips, found on training clips and tested on others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Self, Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack, AttackSettings
from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.query import Query
from steadyear.attacks.core.views import Model
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.signal.sizes import l2_norm
from steadyear.foundation.random_streams import RandomStreams

Batches = Iterable[tuple[Tensor, Tensor | None]]
"""Training clips: input (batch, ...), and target or ``None`` for the model's own prediction."""


class Universal(Attack):
    """A universal perturbation: the aim of Moosavi-Dezfooli et al. (2017, arXiv 1610.08401).

    ``fit`` maximises the summed objective of one batch after the other with projected steps on a single
    perturbation (Shafahi et al., 2020, arXiv 1811.11304, algorithm 2, without clipping the loss); steps
    shrink to zero over the epochs. In a ball that depends on the clip it may be as large as around the
    training clip that allows most. An attack adds the perturbation to every clip and projects; it asks nothing of
    the model, so no query is counted.

    Each budget has a perturbation of its own, found by ``attack.at(eps).fit(...)``; copies made by
    ``at`` share what was found. A budget that was not fitted takes that of the nearest one, stretched
    or shrunk, which is weaker. ``RobustnessEvaluation`` fits every configured budget on training
    clips by itself, unless a file is given.

    Args:
        epochs: Number of passes over the training clips, at least 1.
        relative_step: First step size as a share of the budget.
        path: File that ``save`` wrote, to be loaded.

    Raises:
        ValueError: If there is no epoch, or the file holds something else.
        FileNotFoundError: If there is no such file.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        *,
        epochs: int = 5,
        relative_step: float = 0.2,
        path: str | None = None,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, **settings)
        if epochs < 1:
            raise ValueError(f"Universal needs at least one epoch, not {epochs}.")
        if not math.isfinite(ball.eps):
            raise ValueError("Universal spends a budget: give the ball a finite one.")
        self.epochs = epochs
        self.relative_step = relative_step
        self.path = path
        self.perturbations: dict[float, Tensor] = {}
        if path is not None:
            self.load(path)

    @property
    def perturbation(self) -> Tensor:
        """What is added to every clip at this budget, in the shape of one clip.

        Raises:
            ValueError: If nothing was fitted or loaded.
        """
        fitted = {eps: found for eps, found in self.perturbations.items() if eps > 0}
        if not fitted:
            raise ValueError(
                "Universal has no perturbation yet: call fit(model, batches) with training clips, or "
                "give the path of one that was saved."
            )
        nearest = min(fitted, key=lambda eps: abs(eps - self.ball.eps))
        return fitted[nearest] * (self.ball.eps / nearest)

    def fit(self, model: Model, batches: Batches) -> Self:
        """Find the perturbation of this budget.

        Args:
            model: Any callable, as for attacks.
            batches: Training clips, for one pass after the other; a list or a data loader.

        Raises:
            ValueError: If there are no clips, their shapes differ, they are no sounds where the ball needs
                some, or a second pass is impossible.
        """
        if self.epochs > 1 and iter(batches) is batches:
            raise ValueError("Universal passes over the clips several times: give a list.")
        found: Tensor | None = None
        for epoch in range(self.epochs):
            step = self.relative_step * self.ball.eps * (1 - epoch / self.epochs)
            for x, target in batches:
                with attack_mode(model, x.device):
                    found = self._step(model, x.detach().clone(), target, found, step)
        if found is None:
            raise ValueError("Universal was given no training clips.")
        self.perturbations[self.ball.eps] = found.cpu()
        return self

    def _step(
        self, model: Model, x: Tensor, target: Tensor | None, found: Tensor | None, step: float
    ) -> Tensor:
        with self.view.bind(model, x) as (forward, attacked):
            self.ball.check(attacked)
            with torch.no_grad():
                clean = self.view.read(forward(attacked.clone()))
            reference = self.objective.reference(clean, target).detach().clone()
            self.objective.check(clean, reference)
            query = Query(forward, attacked, reference, self.threat, self.objective, clean)
            if found is None:
                found = self.ball.sample_in_ball(attacked[:1], RandomStreams(self.seed))[0]
            point = query.project(_spread(found, attacked))
            total = query.gradient(point).gradient.sum(0)
            way = self.ball.direction(_spread(total, attacked), attacked).mean(0)
            moved = self.ball.project(_spread(found + step * way, attacked), attacked)
            return moved[l2_norm(moved).argmax()]

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Add the same to every clip.

        Raises:
            ValueError: If nothing was fitted, or for clips of another shape.
        """
        if self.ball.eps == 0:
            return torch.zeros_like(query.x)
        return query.project(_spread(self.perturbation, query.x))

    def save(self, path: str | Path) -> None:
        """Write the perturbations of all budgets to a file of tensors.

        Args:
            path: Where to write it.
        """
        torch.save(self.perturbations, path)

    def load(self, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds something else.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"There is no perturbation {path}; write it with Universal.save."
            )
        found = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
            raise ValueError(f"{path} holds no perturbations; write it with Universal.save.")
        self.perturbations = {float(eps): perturbation for eps, perturbation in found.items()}
        return self


def _spread(perturbation: Tensor, x: Tensor) -> Tensor:
    if perturbation.shape != x.shape[1:]:
        raise ValueError(
            f"The universal perturbation is {tuple(perturbation.shape)}, and a clip is "
            f"{tuple(x.shape[1:])}: fit it on clips of this shape."
        )
    return perturbation.to(x).expand_as(x)
