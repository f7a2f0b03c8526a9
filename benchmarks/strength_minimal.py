"""Part (d) of the comparison of strength: minimal norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import attack_peers as peers
import torch
from attack_report import Report, Row
from attack_tasks import (
    Task,
)
from strength_runs import (
    BALLS,
    BOUNDS,
    Extent,
    run,
)
from torch import Tensor, nn

from steadyear.attacks import (
    DDN,
    FMN,
    L1,
    L2,
    Attack,
    CrossEntropy,
)

FOOLBOX_STEPS = (0.1, 1.0, 10.0)  # first lengths of its FMN; 1 is its default
FOOLBOX_RADII = (0.1, 1.0)  # first radii of its DDN; 1 is its default

Minimal = Callable[[nn.Module, Tensor, Tensor], Tensor]


def our_minimal(attack: Attack) -> Minimal:
    """A minimal-norm attack of ours."""
    return lambda net, x, y: attack(net, x, y).adversarial


def minimal_attacks(
    norm: str, steps: int, found: dict[str, str]
) -> Iterator[tuple[str, str, Minimal]]:
    """Algorithm, name and attack."""
    ball = L1 if norm == "l1" else BALLS[norm]
    make = {"linf": "LInfFMNAttack", "l2": "L2FMNAttack", "l1": "L1FMNAttack"}[norm]
    common: dict[str, Any] = {"objective": CrossEntropy(), "steps": steps, "bounds": BOUNDS}
    yield "FMN", "ours", our_minimal(FMN(ball(math.inf), **common))
    if norm == "l2":
        yield "DDN", "ours", our_minimal(DDN(L2(math.inf), **common))
    if "foolbox" not in found:
        return
    for step in FOOLBOX_STEPS:
        attack = peers.foolbox_minimal(make, steps=steps, max_stepsize=step)
        yield "FMN", f"foolbox, first step {step:g}", attack
    for radius in FOOLBOX_RADII if norm == "l2" else ():
        attack = peers.foolbox_minimal("DDNAttack", steps=steps, init_epsilon=radius)
        yield "DDN", f"foolbox, first radius {radius:g}", attack


def sizes(net: nn.Module, x: Tensor, y: Tensor, clips: Tensor, norm: str) -> Tensor:
    """Norm of each clip's perturbation; infinite where the class is still right."""
    order = {"linf": math.inf, "l2": 2, "l1": 1}[norm]
    size = torch.linalg.vector_norm((clips - x).flatten(1), order, dim=1)
    with torch.no_grad():
        right = net(clips).argmax(1) == y
    return torch.where(right, math.inf, size)


def part_d(report: Report, tasks: dict[str, Task], found: dict[str, str], extent: Extent) -> None:
    """Median minimal norms of the clips that are classified right."""
    for name, norm in [(name, norm) for name in tasks for norm in ("linf", "l2", "l1")]:
        task = tasks[name]
        within = peers.budget("linf", 0.0, 1, task.x)
        title = f"{task.name}, {norm}: median minimal norm of {len(task.x)} clips"
        table: list[Row] = []
        least: dict[tuple[str, bool], float] = {}
        for algorithm, library, attack in minimal_attacks(norm, extent.many, found):
            result = run(lambda net, x, y, _, attack=attack: attack(net, x, y), task, within)
            row: dict[str, Any] = {"attack": f"{algorithm}, {library}"}
            if isinstance(result.clips, str):
                table.append(row | {"median": result.clips})
                continue
            size = sizes(task.net, task.x, task.y, result.clips, norm)
            median = size.median().item()
            share = 100 * size.isfinite().double().mean().item()
            mine = library == "ours"
            least[algorithm, mine] = min(median, least.get((algorithm, mine), math.inf))
            table.append(row | {"median": median, "found %": share, **result.costs})
        report.table(title, table)
        for algorithm, mine in least:
            if mine and (algorithm, False) in least:
                limit = 1.01 * least[algorithm, False]
                report.at_most(f"{title}, {algorithm}", least[algorithm, True], limit)
