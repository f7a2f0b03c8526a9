"""What the benchmark of the speed of attacks runs, and how it takes times."""

from __future__ import annotations

import importlib
import math
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import attack_peers as peers
import torch
import torch.nn.functional as F
from attack_peers import Budget
from mer_attack import EMOTIONS, FRAMES, clips
from torch import Tensor, nn

from steadyear.attacks import PGD, CrossEntropy, Linf
from steadyear.attacks.core.crafting import Precision, crafting_model, fold_batch_norm
from steadyear.attacks.core.views import prediction_of
from steadyear.lightning_modules import AudioVGG

SCALE = 8.0  # z-units in the range [0, 1] of the inputs
STEPS, EPS = 10, 0.03 / SCALE
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
BUDGETS = tuple(eps / SCALE for eps in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2))
BOUNDS = (0.0, 1.0)


class Extent(NamedTuple):
    """How much is measured."""

    batch: int = 8
    rounds: int = 4
    frames: int = FRAMES
    width: float = 1.0
    training: int = 60
    steps: int = STEPS
    memory_clips: int = 13
    curve_clips: int = 4
    curve_rounds: int = 2
    product_side: int = 1536


QUICK = Extent(1, 1, 32, 0.05, 2, 2, 3, 2, 1, 64)


class Standardised(nn.Module):
    """From [0, 1], where some libraries clip, to z-units."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        return SCALE * (x - 0.5)


def data(number: int, frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Spectrograms in [0, 1] and the shape of each one's spectrum, shape (number, outputs)."""
    x, ratings = clips(number, frames, generator)
    return (0.5 + x / SCALE).clamp(0, 1), (ratings - 0.4) / 0.12


def network(extent: Extent, labels: bool, generator: torch.Generator) -> nn.Module:
    """The study's network for classes or labels, trained a little on short excerpts."""
    torch.manual_seed(0)
    trunk = AudioVGG(extent.width)
    net = nn.Sequential(Standardised(), trunk, nn.Linear(trunk.embedding_dim, EMOTIONS))
    adam = torch.optim.Adam(net.parameters(), lr=5e-4)
    for _ in range(extent.training):
        x, shape = data(16, 24, generator)
        adam.zero_grad()
        prediction = net.train()(x)
        if labels:
            F.binary_cross_entropy_with_logits(prediction, multi_hot(shape)).backward()
        else:
            F.cross_entropy(prediction, shape.argmax(1)).backward()
        adam.step()
    return net.eval()


def multi_hot(shape: Tensor) -> Tensor:
    """Labels: what is clearly there."""
    return (shape > 0.8).float()


def ours(
    net: nn.Module, x: Tensor, y: Tensor, within: Budget, precision: Precision
) -> Callable[[], Tensor]:
    """Our PGD as the others are: the last point of the path, not judged."""
    attack = _pgd(within, precision, keep_best=False)
    return lambda: attack.craft(net, x, y, start=within.start).adversarial


def judged(
    net: nn.Module, x: Tensor, y: Tensor, within: Budget, precision: Precision
) -> Callable[[], Tensor]:
    """Our PGD by its call: the worst point of the path, and what clean and attacked clips give."""
    attack = _pgd(within, precision, keep_best=True)
    return lambda: attack(net, x, y, start=within.start).adversarial


def _pgd(within: Budget, precision: Precision, keep_best: bool) -> PGD:
    step = within.step / within.eps
    return PGD(
        Linf(within.eps), CrossEntropy(), steps=within.steps, relative_step=step,
        keep_best=keep_best, bounds=BOUNDS, precision=precision,
    )  # fmt: skip


def bare(
    net: nn.Module, x: Tensor, y: Tensor, within: Budget, precision: Precision
) -> Callable[[], Tensor]:
    """The floor: gradients of a model that was folded before, and steps in place."""
    folded = fold_batch_norm(net)
    low, high = (x - within.eps).clamp_min(0), (x + within.eps).clamp_max(1)

    def run() -> Tensor:
        with crafting_model(folded, folded, x, x, prediction_of, precision) as craft:
            point = x + within.start
            for _ in range(within.steps):
                point.requires_grad_()
                loss = F.cross_entropy(prediction_of(craft(point)).float(), y, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, point)
                point = point.detach().add_(gradient.sign_(), alpha=within.step)
                torch.minimum(torch.maximum(point, low, out=point), high, out=point)
        return point

    return run


def of_foolbox(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Callable[[], Tensor]:
    """PGD of foolbox by its ``run``, which does not judge either."""
    return lambda: peers.foolbox_pgd(net, x, y, peers.cross_entropy, within)


def of_torchattacks(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Callable[[], Tensor]:
    """PGD of torchattacks."""
    return lambda: peers.torchattacks_pgd(net, x, y, peers.cross_entropy, within)


def of_art(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Callable[[], Tensor]:
    """PGD of ART, whose view of the model is made once."""
    evasion = importlib.import_module("art.attacks.evasion")
    attack = evasion.ProjectedGradientDescentPyTorch(
        peers.art_classifier(net, x, nn.CrossEntropyLoss()), norm=math.inf, eps=within.eps,
        eps_step=within.step, max_iter=within.steps, num_random_init=1, batch_size=len(x),
        verbose=False,
    )  # fmt: skip
    return lambda: torch.from_numpy(attack.generate(x.cpu().numpy(), y.cpu().numpy())).to(x)


OTHERS = {"torchattacks": of_torchattacks, "foolbox": of_foolbox, "ART": of_art}


def attacks_of(
    net: nn.Module, x: Tensor, y: Tensor, within: Budget, found: dict[str, str]
) -> dict[str, Callable[[], Tensor]]:
    """Everything that takes turns."""
    runs = {f"ours {precision}": ours(net, x, y, within, precision) for precision in PRECISIONS}
    runs |= {f"ours {p}, judged": judged(net, x, y, within, p) for p in PRECISIONS}
    if x.is_cuda:
        compiled = torch.compile(net)
        for precision in PRECISIONS:
            runs[f"ours {precision}, torch.compile"] = ours(compiled, x, y, within, precision)
    for name, make in OTHERS.items():
        if name in found:
            runs[name] = make(net, x, y, within)
    return runs


def seconds(run: Callable[[], Any]) -> float:
    """How long a call takes; on a GPU until its work is done."""
    _wait()
    started = time.perf_counter()
    run()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def take_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call in every round, after a round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    order = random.Random(0)
    for number in range(rounds + 1):
        names = list(runs)
        order.shuffle(names)
        for name in names:
            spent = seconds(runs[name])
            if number or not rounds:
                found[name].append(spent)
    return found
