"""APGD in the L1 ball: it finds the sparsity of its steps by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.balls.l1 import L1, l1_norm, largest
from steadyear.attacks.core.query import Query
from steadyear.attacks.gradient.active_set import ActiveSet
from steadyear.attacks.signal.sizes import per_clip

_FIRST_SHARE = 0.2  # of the values that a step moves
_PERIOD = 0.04  # steps between two checks, in shares of all steps
_SPARSER = 0.95  # below this ratio of changed values, sparsity is still growing
_FEWER = 1.5  # by how much a step moves fewer values than the worst point has
_SHORTER, _SHORTEST = 1.5, 10.0  # divisors of the step


def ascend_l1(
    query: Query, ball: L1, active: ActiveSet, start: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """The worst point on a path from a start, and its objective.

    Croce and Hein, 2021, arXiv 2103.01208, section 3.4. Every step moves the largest gradients of
    a clip by equal amounts, and is projected onto ball and bounds at once. At checks, as long as
    the worst point gets sparser, the search goes on from there with long steps; then steps become
    shorter. The next steps move two thirds as many values as the worst point has. The start is the
    caller's; in the paper it is projected normal noise.

    Args:
        query: What is attacked.
        ball: The ball.
        active: Which clips are left.
        start: Perturbation to start from, allowed, shape (batch, ...).
        steps: Number of gradient queries, at least 1.
    """
    path = _SparsePath(query, ball, active, start)
    period = max(int(_PERIOD * steps), 1)
    for step in range(1, steps):
        if not active.look(step, path.most):
            return path.best, path.most
        path.move()
        if step % period == 0:
            path.look_back()
    return active.judged(path.best, path.most, path.ahead())


class _SparsePath:
    """Where the search of each clip is, where it was worst, how far and how sparsely it steps."""

    def __init__(self, query: Query, ball: L1, active: ActiveSet, start: Tensor) -> None:
        self.query, self.ball, self.active = query, ball, active
        self.point, self.best = start.clone(), start.clone()
        here = query.gradient(start)
        self.gradient, self.best_gradient = here.gradient, here.gradient.clone()
        self.most = active.worth(here.value, here.prediction).clone()
        self.step = torch.full_like(self.most, ball.eps)
        self.values = start[0].numel()
        self.changed = _changed(start)
        first = self.changed.new_full(self.changed.shape, int(_FIRST_SHARE * self.values))
        fewer = torch.where(self.changed > 0, self.changed / _FEWER, torch.inf)
        self.number = torch.minimum(first, fewer).long().clamp_min(1)

    def ahead(self) -> Tensor:
        """The next point of the clips that are left."""
        some = self.active.chosen
        gradient = self.gradient[some]
        signs = gradient.sign() * largest(gradient, self.number[some])
        step = self.step[some] / l1_norm(signs).clamp_min(1)
        point = self.point[some] + per_clip(step, gradient) * signs
        bounds, x = self.query.threat.bounds, self.query.clean_clips(self.active.clips)
        if bounds is None:
            return self.ball.project(point, x)
        return self.ball.project_within_bounds(point, x, bounds)

    def move(self) -> None:
        """Go to the next point and look around."""
        some, point = self.active.chosen, self.ahead()
        here = self.query.gradient(point, self.active.clips)
        self.point[some], self.gradient[some] = point, here.gradient
        worth = self.active.worth(here.value, here.prediction)
        better = per_clip(worth > self.most[some], point)
        self.best[some] = torch.where(better, point, self.best[some])
        self.best_gradient[some] = torch.where(better, here.gradient, self.best_gradient[some])
        self.most[some] = torch.maximum(self.most[some], worth)

    def look_back(self) -> None:
        """Adapt sparsity and step; go back to the worst point where it has become sparser."""
        changed, longest = _changed(self.best), self.ball.eps
        sparser = changed < _SPARSER * self.changed
        shorter = (self.step / _SHORTER).clamp_min(longest / _SHORTEST)
        self.step = torch.where(sparser, longest, shorter)
        self.number = (changed / _FEWER).long().clamp_min(1)
        self.changed = changed
        back = per_clip(sparser, self.point)
        self.point = torch.where(back, self.best, self.point)
        self.gradient = torch.where(back, self.best_gradient, self.gradient)


def _changed(perturbation: Tensor) -> Tensor:
    """How many values of each clip are changed, shape (batch,)."""
    return perturbation.flatten(1).count_nonzero(1).to(perturbation)
