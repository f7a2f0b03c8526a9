"""A small trained classifier of digits, for comparisons with other libraries."""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn


@cache
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    """The classifier, and test images that it classifies correctly, with values from 0 to 1."""
    data = load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32)[:, None]
    y = torch.tensor(data.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten()
        ).append(nn.Linear(256, 10))
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(5):
            for chosen in torch.randperm(1500).split(100):
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
                optimiser.step()
    x, y = x[1500:], y[1500:]
    net.eval()
    right = net(x).argmax(1) == y
    assert right.float().mean() > 0.8
    return net, x[right], y[right]


def norms(perturbation: Tensor, p: float) -> Tensor:
    """Norm of each clip's perturbation."""
    return torch.linalg.vector_norm(perturbation.flatten(1), p, dim=1)


def linear() -> tuple[nn.Linear, Tensor, Tensor]:
    """A linear model with one output, clips, and targets that leave errors of both signs."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model, x = nn.Linear(40, 1).double(), torch.randn(6, 40, dtype=torch.float64)
    errors = torch.tensor([[-2.0], [-1.0], [-0.1], [0.2], [1.5], [3.0]], dtype=torch.float64)
    return model, x, model(x).detach() - errors
