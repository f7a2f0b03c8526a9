"""The ball of the L1 norm."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steadyear.attacks.balls.base import NormBall
from steadyear.attacks.balls.norms import L2
from steadyear.attacks.signal.sizes import linf_norm, per_clip
from steadyear.foundation.random_streams import RandomStreams


class L1(NormBall):
    """The absolute values of a clip's perturbation sum up to at most ``eps``.

    The steepest way in this norm is to move one value only, so a search of a few steps would never
    see more than a few values. Directions therefore move the ``share`` of the values with the
    largest gradients, the remedy of SLIDE (Tramer and Boneh, 2019, arXiv 1904.13000). There the
    values move by equal amounts; here in proportion to their gradients, with which projected steps
    gather on the best value. Along a linear function one step of size 1 gains the sum of the
    squares of these gradients divided by the sum of their sizes, and with a share of 0 all of
    ``dual_norm``. ``APGD`` finds the share of each clip by itself.

    Args:
        eps: Budget in the unit of the attacked domain, summed over all values of a clip.
        share: Share of the values that a direction moves, from 0 to 1, rounded up to whole values;
            0 stands for a single value.

    Raises:
        ValueError: If the budget is negative or the share is no share.
    """

    norm = "l1"
    label = "L1"
    search_parameters = ("share",)

    def __init__(self, eps: float = 0.0, share: float = 0.01) -> None:
        super().__init__(eps)
        if not 0 <= share <= 1:
            raise ValueError(f"The share of an L1 ball is from 0 to 1, not {share}.")
        self.share = share

    def sample_in_ball(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform in the ball."""
        radius = rng.uniform_per_clip(x) ** (1 / x[0].numel())
        return self.sample_on_sphere(x, rng) * radius

    def sample_on_sphere(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Uniform on the surface: exponential sizes with random signs, divided by their sum."""
        numbers = rng.uniform(x)
        sizes = -numbers.abs().clamp_min(torch.finfo(x.dtype).tiny).log()
        return numbers.sign() * sizes * per_clip(self.eps / l1_norm(sizes), x)

    def direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The share of the values with the largest gradients, in proportion to these."""
        number = max(math.ceil(self.share * gradient[0].numel()), 1)
        # Scaled first: sums of tiny fp32 gradients would lose their digits.
        tiny = torch.finfo(gradient.dtype).tiny
        scaled = gradient / per_clip(linf_norm(gradient).clamp_min(tiny), gradient)
        scaled = scaled * largest(gradient, gradient.new_full((len(gradient),), number).long())
        return scaled / per_clip(l1_norm(scaled).clamp_min(tiny), scaled)

    def search_direction(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient of unit Euclidean length: drawing back keeps its largest values, however many."""
        return L2().direction(gradient, x)

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Shrink every value by the same amount, but not beyond zero."""
        return self.project_to_radius(perturbation, perturbation.new_full((len(x),), self.eps), x)

    def project_to_radius(self, perturbation: Tensor, radius: Tensor, x: Tensor) -> Tensor:
        """Shrink every value of a clip by the same amount, but not beyond zero."""
        return shrunk(perturbation, radius)

    def project_within_bounds(
        self, perturbation: Tensor, x: Tensor, bounds: tuple[float, float]
    ) -> Tensor:
        """The nearest perturbation that is in the ball and keeps the clip within bounds."""
        low, high = bounds
        room = torch.where(perturbation > 0, high - x, x - low)
        return shrunk(perturbation, perturbation.new_full((len(x),), self.eps), room)

    def dual_norm(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Largest absolute value."""
        return linf_norm(gradient)

    def size(self, perturbation: Tensor, x: Tensor) -> Tensor:
        """Sum of the absolute values."""
        return l1_norm(perturbation)


def l1_norm(perturbation: Tensor) -> Tensor:
    """Sum of the absolute values of each clip's perturbation, shape (batch,)."""
    return perturbation.flatten(1).abs().sum(1)


def largest(gradient: Tensor, number: Tensor) -> Tensor:
    """Where each clip's largest gradients are, bool, shape of ``gradient``.

    Args:
        gradient: Gradients, shape (batch, ...).
        number: How many values to take of each clip, shape (batch,), at least 1; values that equal
            the last one taken are taken, too.
    """
    sizes = gradient.flatten(1).abs()
    place = (sizes.shape[1] - number).clamp_min(0)
    least = sizes.sort(1).values.gather(1, place[:, None])
    return (sizes >= least).reshape(gradient.shape)


def shrunk(perturbation: Tensor, radius: Tensor, room: Tensor | None = None) -> Tensor:
    """Nearest perturbations in L1 balls, exact, by sorting.

    Duchi et al., 2008, "Efficient projections onto the l1-ball", figure 1; with ``room`` the
    projection onto ball and box of Croce and Hein, 2021, arXiv 2103.01208, proposition 2.1.

    Args:
        perturbation: Perturbations, shape (batch, ...).
        radius: Radius of each clip's ball, shape (batch,); may be infinite.
        room: How far every value may move in the direction in which it moves, at least 0, shape of
            ``perturbation``; ``None`` for no box.
    """
    sizes = perturbation.flatten(1).abs().double()
    limit = None if room is None else room.flatten(1).double()
    # Shrunk by t, a value is (size - t), from t = size on 0, and no more than its room: a broken
    # line, whose slope changes by 1 at `size` and back at `size - room`.
    corners, slopes = sizes, torch.ones_like(sizes)
    if limit is not None:
        corners = torch.cat([sizes, (sizes - limit).clamp_min(0)], 1)
        slopes = torch.cat([slopes, -slopes], 1)
    corners, order = corners.sort(1, descending=True)
    slopes = slopes.gather(1, order)
    # Double precision: sums over a whole clip would lose the last digits of its norm.
    slope, total = slopes.cumsum(1), (slopes * corners).cumsum(1)
    reached = total - corners * slope
    last = (reached <= radius[:, None].double()).sum(1, keepdim=True) - 1
    slope, total = slope.gather(1, last), total.gather(1, last)
    by = ((total - radius[:, None].double()) / slope.clamp_min(1)).clamp_min(0)
    # A sum of equal values, divided again, may be a little less than they are.
    by = torch.where(radius[:, None] > 0, by, torch.inf)
    left = (sizes - by).clamp_min(0)
    left = left if limit is None else torch.minimum(left, limit)
    return (perturbation.sign() * left.reshape(perturbation.shape)).to(perturbation)
