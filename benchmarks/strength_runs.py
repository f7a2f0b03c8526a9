"""How attacks are run, counted and checked when their strength is compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import attack_peers as peers
import torch
from attack_peers import Budget, Loss
from attack_report import Row
from attack_tasks import Task
from torch import Tensor, nn

from steadyear.attacks import APGD, L2, PGD, Attack, AudioAutoAttack, Linf, NormBall, Objective

BALLS: dict[str, type[NormBall]] = {"linf": Linf, "l2": L2}
BOUNDS = (0.0, 1.0)


class Extent(NamedTuple):
    """How much is compared.

    Attributes:
        clips: Of parts (a) and (d).
        damaged: Of parts (b) and (c).
        few: Steps of a short run.
        many: Steps of a long run.
        starts: Of every PGD and APGD of (a). Where logits are large, a start alone moves robust
            accuracy by a point.
        repeats: Of every ensemble of (a), which is slow and has many starts inside.
        training: Batches that models are trained with.
        robust: Whether there are more models than the ordinary ones.
    """

    clips: int = 400
    damaged: int = 200
    few: int = 20
    many: int = 100
    starts: int = 10
    repeats: int = 3
    training: int = 150
    robust: bool = True


QUICK = Extent(clips=12, damaged=8, few=2, many=4, starts=1, repeats=1, training=5, robust=False)

Attacker = Callable[[nn.Module, Tensor, Tensor, Budget], Tensor]
PeerAttack = Callable[[nn.Module, Tensor, Tensor, Loss, Budget], Tensor]


class Counted(nn.Module):
    """A model that counts clips: those that a gradient is taken of, and the others."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        # A list, because attacks may work on a shallow copy.
        self.seen = [0, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Count and predict."""
        self.seen[not (x.requires_grad and torch.is_grad_enabled())] += len(x)
        found: Tensor = self.net(x)
        return found


class Found(NamedTuple):
    """What an attack did: its clips, or its error, and what it cost."""

    clips: Tensor | str
    costs: Row


def run(attacker: Attacker, task: Task, within: Budget) -> Found:
    """One attack on all clips of a task, counted and timed."""
    counted = Counted(task.net).eval()
    started = time.perf_counter()
    clips = peers.attempt(lambda: attacker(counted, task.x, task.y, within))
    seconds = time.perf_counter() - started
    task.net.zero_grad(set_to_none=True)
    gradients, forwards = (seen / len(task.x) for seen in counted.seen)
    costs = {"gradients": gradients, "forwards": forwards, "seconds": seconds}
    return Found(clips, costs)


def check(clips: Tensor, task: Task, within: Budget) -> str:
    """Whether the clips are where they may be."""
    away = (clips - task.x).flatten(1)
    size = away.abs().amax(1) if within.norm == "linf" else away.norm(dim=1)
    outside = int((size > within.eps * (1 + 1e-4)).sum()) + int(
        ((clips < -1e-6) | (clips > 1 + 1e-6)).sum()
    )
    return f"{outside} outside" if outside else "inside"


def ours(make: Callable[[Budget, NormBall], Attack]) -> Attacker:
    """An attack of ours, from the given start where it takes one."""

    def attack(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Tensor:
        attack = make(within, BALLS[within.norm](within.eps))
        return attack(net, x, y, start=within.start).adversarial

    return attack


def theirs(attack: PeerAttack, loss: Loss = peers.cross_entropy) -> Attacker:
    """An attack of another library with a loss."""
    return lambda net, x, y, within: attack(net, x, y, loss, within)


def our_pgd(objective: Objective) -> Attacker:
    """PGD."""
    return ours(
        lambda b, ball: PGD(
            ball, objective, steps=b.steps, relative_step=b.step / b.eps, bounds=BOUNDS
        )
    )


def our_apgd(objective: Objective) -> Attacker:
    """APGD, in the Linf ball from its surface, as its authors begin."""
    attack = ours(lambda b, ball: APGD(ball, objective, steps=b.steps, bounds=BOUNDS))

    def run(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Tensor:
        longest = within.start.flatten(1).abs().amax(1).reshape(-1, *(1 for _ in x.shape[1:]))
        stretch = within.eps / longest if within.norm == "linf" else 1.0
        return attack(net, x, y, replace(within, start=within.start * stretch))

    return run


def our_ensemble(task: Any, worst: Any, extent: Extent) -> Attacker:
    """AudioAutoAttack."""
    version: Any = "1.1" if extent.robust else "1.1-quick"
    make = partial(
        AudioAutoAttack, task=task, version=version, bounds=BOUNDS, tolerance=0.05, worst=worst
    )
    return ours(lambda within, ball: make(ball, seed=within.seed))
