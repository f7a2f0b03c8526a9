"""Models and attacks that look robust and are not, and a healthy one to compare with."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.attacks import PGD, Linf

CLIPS = 24


class Network(nn.Module):
    """A small convolutional network on spectrograms (batch, 1, 8, 10)."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(8 * 4 * 5, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(x)))


def clips(number: int = CLIPS) -> Tensor:
    return torch.randn(number, 1, 8, 10, generator=torch.Generator().manual_seed(5))


def real_target(x: Tensor) -> Tensor:
    return torch.stack([x[:, 0, :4].mean((1, 2)), x[:, 0, 4:].mean((1, 2)), x[:, 0, 0, 0]], 1)


def class_target(x: Tensor) -> Tensor:
    return real_target(x).argmax(1)


@cache
def trained(task: str = "regression", steps: int = 50) -> Network:
    """A network that knows its task, in eval mode."""
    torch.manual_seed(1)
    network = Network()
    x = torch.cat([clips(), torch.randn(136, 1, 8, 10)])
    y = class_target(x) if task == "classes" else real_target(x)
    y = (y > 0).float() if task == "labels" else y
    losses = {
        "regression": F.mse_loss,
        "classes": F.cross_entropy,
        "labels": F.binary_cross_entropy_with_logits,
    }
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        losses[task](network(x), y).backward()
        optimizer.step()
    network.zero_grad()
    return network.eval()


class Around(nn.Module):
    """Base of what is put around a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class Rounded(Around):
    """Gradient masking by quantisation of the input."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.round(x * 4) / 4)


class RoundedInside(Around):
    """Quantisation in one of two ways through the network: some gradient is left."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(0.1 * x + torch.round(0.9 * x * 8) / 8)


class SaturatedOutput(Around):
    """Gradient masking by a squashing function far outside of its range."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(1000 * self.network(x))


class HugeLogits(Around):
    """Gradient masking by scale: the cross-entropy of float32 is exactly zero."""

    def forward(self, x: Tensor) -> Tensor:
        return 1e4 * self.network(x)


class Noisy(Around):
    """A random forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x + 0.3 * torch.randn_like(x))


class Detached(Around):
    """A broken graph."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.from_numpy(x.detach().numpy())) + 0 * self.network.head.bias


class HalfDetached(Around):
    """A graph that is broken in one of two branches."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(0.3 * x + 0.7 * x.detach())


class TrainsItself(Around):
    """Switches layers to train mode in its own forward pass, as some published code does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        self.norm.train()
        self.network.dropout.train()
        return self.network(self.norm(x))


class TopDbOverTheBatch(Around):
    """A front end whose floor belongs to the loudest clip of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.maximum(x, x.amax() - 3.0))


class DiscardedClip(Linf):
    """A ball whose projection forgets to keep its result, as in a released attack."""

    norm = "linf"

    def project(self, perturbation: Tensor, x: Tensor) -> Tensor:
        perturbation.clamp(-self.eps, self.eps)
        return perturbation


class Unprojected(PGD):
    """An attack that undoes the projection of its base class at the very end."""

    def _apply(self, x: Tensor, perturbation: Tensor) -> Tensor:
        return x + 1.5 * perturbation


class GivesBackTheLast(PGD):
    """Climbs well, and hands out half of what it found."""

    def solve(self, query, rng):
        return super().solve(query, rng) / 2


class WrongWay(PGD):
    """Descends."""

    def solve(self, query, rng):
        point = query.project(self.ball.sample_in_ball(query.x, rng))
        for _ in range(self.steps):
            here = query.gradient(point)
            point = query.project(point - 0.3 * self.ball.eps * here.gradient.sign())
        return point


class Forgetful(PGD):
    """Does not look at its budget of zero."""

    def at(self, eps: float) -> PGD:
        return super().at(max(eps, 0.01))
