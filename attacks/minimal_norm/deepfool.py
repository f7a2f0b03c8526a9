"""DeepFool: step by step to the nearest of the linearised decision boundaries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from steadyear.attacks.balls import NormBall
from steadyear.attacks.core.attack import AttackSettings
from steadyear.attacks.core.query import ClipFunction, Query
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.classes import ClassObjective
from steadyear.attacks.objectives.multilabel import MultiLabelObjective
from steadyear.attacks.signal.sizes import per_clip
from steadyear.foundation.random_streams import RandomStreams

_LEAST = 1e-3  # of the way so far, added to every step: clipped steps would never cross a boundary
_KICK = 0.05  # of the usual one: what is walked stays walked


class _Nearest(NamedTuple):
    """The nearest boundary of each clip: its distance, and the way there."""

    distance: Tensor
    way: Tensor


class DeepFool(MinimalNorm):
    """Nearest linearised boundary (Moosavi-Dezfooli et al., 2016, arXiv 1511.04599, algorithm 2).

    In every step the boundaries of each clip are linearised, and the clip moves to the nearest of
    them in the norm of the ball. Of a classifier these are the boundaries to the classes with the
    largest logits. Of a multi-label classifier they are the decisions on the labels with the smallest
    absolute logits, where any changed decision is a success. All other objectives have one
    boundary, where their margin is zero. A clip that has reached its aim stands still. For the rest
    see ``MinimalNorm``.

    Args:
        ball: The norm, and the largest perturbation to look for.
        objective: Defines the aim by its margin; ``None`` stands for ``SquaredError()``.
        steps: Largest number of steps; each costs one gradient query per boundary until the clip
            has reached its aim.
        candidates: Largest number of boundaries.
        overshoot: Share by which every perturbation is stretched, so that boundaries are crossed.
        shrink_steps: Number of bisections at the end, one forward pass each, without gradient.

    Raises:
        ValueError: If there is no step, no candidate, or a negative number of bisections or share.
        TypeError: If the ball has no norm.
    """

    def __init__(
        self,
        ball: NormBall,
        objective: Objective | None = None,
        *,
        steps: int = 50,
        candidates: int = 10,
        overshoot: float = 0.02,
        shrink_steps: int = 10,
        **settings: Unpack[AttackSettings],
    ) -> None:
        super().__init__(ball, objective, steps=steps, shrink_steps=shrink_steps, **settings)
        if candidates < 1 or not overshoot >= 0:
            raise ValueError(
                "DeepFool needs at least one candidate and no negative overshoot, not "
                f"{candidates}, {overshoot}."
            )
        self.candidates = candidates
        self.overshoot = overshoot

    def minimise(self, query: Query, rng: RandomStreams) -> Tensor:
        """Walk until the aim is reached, and shrink what was found."""
        x, kick = query.x, _KICK * self.kick(query.x, rng)
        walked, found = torch.zeros_like(x), torch.zeros_like(x)
        open_ = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for step in range(self.steps + 1):
            stretched = query.project((1 + self.overshoot) * walked)
            clips = self._asked(query, open_)
            hit = torch.zeros_like(open_)
            hit[clips] = self._hit(query, stretched, clips)
            found = torch.where(per_clip(open_ & hit, x), stretched, found)
            open_ = open_ & ~hit
            if step == self.steps or not bool(open_.any()):
                break
            clips = self._asked(query, open_)
            nearest = self._nearest(query, stretched[clips], kick[clips], clips)
            far = self.farthest(x)[clips]
            least = _LEAST * self.ball.size(walked[clips], x[clips])
            ahead = (nearest.distance + least).clamp_max(far)
            # A clip that stands still is evaluated where clips cannot be told apart.
            move = per_clip(ahead * open_[clips], nearest.way) * nearest.way
            walked[clips] = self.ball.project_to_radius(walked[clips] + move, far, x[clips])
        return self.shrink(query, found)

    def _asked(self, query: Query, open_: Tensor) -> Tensor:
        everyone = torch.arange(len(open_), device=open_.device)
        return open_.nonzero()[:, 0] if query.clips_independent else everyone

    def _hit(self, query: Query, point: Tensor, clips: Tensor) -> Tensor:
        chosen = clips if query.clips_independent else None
        prediction = query.predict(point[clips], chosen)
        return self.objective.success(
            prediction, query.clean_prediction[clips], query.target[clips]
        )

    def _nearest(self, query: Query, point: Tensor, kick: Tensor, clips: Tensor) -> _Nearest:
        x = query.x[clips]
        distance, way = torch.full_like(self.ball.size(x, x), torch.inf), torch.zeros_like(x)
        for aim in self._boundaries(query, clips):
            here = query.gradient(point, clips if query.clips_independent else None, aim)
            slope = self.ball.dual_norm(here.gradient, x)
            ahead = torch.where(slope > 0, here.value.abs() / slope, torch.inf)
            steepest = self.ball.direction(here.gradient, x)
            closer = ahead < distance
            distance = torch.where(closer, ahead, distance)
            way = torch.where(per_clip(closer, x), steepest, way)
        lost = distance.isinf()
        distance = torch.where(lost, self.ball.size(kick, x), distance)
        kicked = self.ball.direction(kick, x)
        return _Nearest(distance, torch.where(per_clip(lost, x), kicked, way))

    def _boundaries(self, query: Query, clips: Tensor) -> Iterator[ClipFunction]:
        """What is zero at each boundary and grows beyond it, the nearest at the clean clip first."""
        clean, target = query.clean_prediction[clips], query.target[clips]
        # By where the margin comes from: an objective with its own has no such list of boundaries.
        margin = type(self.objective).margin
        if margin is ClassObjective.margin:
            label = target[:, None]
            order = clean.scatter(1, label, -torch.inf).argsort(1, descending=True)
            for number in range(min(self.candidates, clean.shape[1] - 1)):
                yield _lead_of(order[:, [number]])
        elif margin is MultiLabelObjective.margin:
            order = clean.abs().argsort(1)
            for number in range(min(self.candidates, clean.shape[1])):
                yield _flip_of(order[:, [number]])
        else:
            yield self.objective.margin


def _lead_of(other: Tensor) -> ClipFunction:
    def aim(prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        return (prediction.gather(1, other) - prediction.gather(1, target[:, None]))[:, 0]

    return aim


def _flip_of(label: Tensor) -> ClipFunction:
    def aim(prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        logit = prediction.gather(1, label)[:, 0]
        return torch.where(clean.gather(1, label)[:, 0] > 0, -logit, logit)

    return aim
