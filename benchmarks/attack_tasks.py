"""Small models that are trained in seconds, for comparing the strength of attacks.

All inputs lie in [0, 1], because some libraries clip them there whatever the model takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from steadyear.attacks import PGD, Linf, Objective

TRAINING_CLIPS = 1297  # of the 1797 digits
OUTPUTS, LABELS, BANDS, FRAMES = 8, 12, 24, 20


@dataclass(frozen=True)
class Task:
    """A trained model in eval mode, and clips that it has not seen.

    Attributes:
        name: Name in tables.
        net: The model.
        x: Clips in [0, 1], shape (clips, 1, height, width).
        y: Targets.
    """

    name: str
    net: nn.Module
    x: Tensor
    y: Tensor


class Scale(nn.Module):
    """Logits times a constant: the cross-entropy of a confident model rounds to 0."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return self.factor * x


def network(outputs: int, size: tuple[int, int] | None = None, width: int = 16) -> nn.Sequential:
    """A small network with batch normalisation.

    Args:
        outputs: Number of outputs.
        size: Height and width of the clips; ``None`` for spectrograms, averaged over time.
        width: Channels of the first layer.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(1, width, 3, 2 if size is None else 1, 1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU(),
    ]  # fmt: skip
    if size is None:
        layers.append(nn.AvgPool2d((1, FRAMES // 4)))
        features = 2 * width * (BANDS // 4)
    else:
        features = 2 * width * ((size[0] + 1) // 2) * ((size[1] + 1) // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, outputs))


def trained(
    net: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    objective: Objective | None = None,
    eps: float = 0.0,
) -> nn.Module:
    """Train a model, on clips attacked within ``eps`` where an objective is given."""
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    for x, y in batches:
        if objective is not None:
            x = PGD(Linf(eps), objective, steps=4, bounds=(0.0, 1.0))(net, x, y).adversarial
        adam.zero_grad()
        loss(net.train()(x), y).backward()
        adam.step()
    return net.eval()


def digits(clips: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training clips and classes, then test clips and classes, of scikit-learn's digits."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    x = torch.from_numpy(data.images).float()[order, None] / 16
    y = torch.from_numpy(data.target).long()[order]
    first, last = TRAINING_CLIPS, TRAINING_CLIPS + clips
    return x[:first], y[:first], x[first:last], y[first:last]


def shuffled(x: Tensor, y: Tensor, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Random batches of 64."""
    for _ in range(steps):
        chosen = torch.randint(len(x), (64,))
        yield x[chosen], y[chosen]


def spectra(shape: Tensor) -> Tensor:
    """Noisy spectrograms whose bands follow cosines, one for each column of ``shape``."""
    bands = torch.linspace(0, torch.pi, BANDS)
    waves = torch.stack([torch.cos(k * bands) for k in range(shape.shape[1])])
    noise = torch.randn(len(shape), 1, BANDS, FRAMES)
    return (0.5 + 0.05 * (shape @ waves)[:, None, :, None] + 0.08 * noise).clamp(0, 1)


def rated(clips: int) -> tuple[Tensor, Tensor]:
    """Spectrograms, and eight ratings that depend on the shape of their spectrum."""
    shape = torch.randn(clips, OUTPUTS)
    return spectra(shape), 0.5 + 0.12 * (shape + 0.5 * shape.roll(1, 1) * shape)


def labelled(clips: int) -> tuple[Tensor, Tensor]:
    """Spectrograms of calls in noise; the last of the twelve labels are rare."""
    prevalence = 0.5 * 0.78 ** torch.arange(LABELS)
    y = (torch.rand(clips, LABELS) < prevalence).float()
    x = 0.4 + 0.12 * torch.randn(clips, 1, BANDS, FRAMES)
    for label in range(LABELS):
        call = torch.zeros(BANDS, 5)
        call[2 * label] = torch.linspace(0.1, 0.3, 5)
        call[2 * label + 1] = torch.linspace(0.3, 0.1, 5)
        for clip in y[:, label].nonzero()[:, 0]:
            first = int(torch.randint(FRAMES - 5, ()))
            x[clip, 0, :, first : first + 5] += call
    return x.clamp(0, 1), y
