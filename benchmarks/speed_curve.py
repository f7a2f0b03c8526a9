"""The speed of a curve of budgets on a multi-label model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import attack_peers as peers
import torch
from attack_report import Report, Row
from speed_runs import (
    BOUNDS,
    BUDGETS,
    PRECISIONS,
    SCALE,
    Extent,
    data,
    network,
    take_turns,
)
from torch import Tensor, nn

from steadyear.attacks import FMN, PGD, Linf, Objective, OutputLoss, robust_curve
from steadyear.attacks.core.crafting import Precision

CURVE = 5.0  # times faster than separate runs


class Walked(NamedTuple):
    """Smallest budgets of each clip, and the time that all of them took."""

    budgets: Tensor
    seconds: float


def smallest(flips: Tensor) -> Tensor:
    """First budget at which each clip's label flips, from (budgets, clips); infinite if none."""
    grid = torch.tensor(BUDGETS)
    first = grid[flips.int().argmax(0)]
    return torch.where(flips.any(0), first, math.inf)


def by_foolbox(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """One PGD for every budget."""
    flips = []
    with torch.no_grad():
        clean = net(x) > 0
    for eps in BUDGETS:
        within = peers.budget("linf", eps, steps, x)
        found = peers.foolbox_pgd(net, x, y, OutputLoss(), within)
        with torch.no_grad():
            flips.append(((net(found) > 0) != clean).any(1))
    return smallest(torch.stack(flips).cpu())


def by_curve(
    net: nn.Module, x: Tensor, y: Tensor, steps: int, objective: Objective, precision: Precision
) -> Tensor:
    """All budgets in one call, by bisection, each search until success."""
    attack = PGD(
        Linf(0.0), objective, steps=steps, bounds=BOUNDS, precision=precision, until_success=True
    )
    curve = robust_curve(attack, net, x, y, BUDGETS, until_success=True)
    return curve.minimal_budget.float().cpu()


def by_norm(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """The minimal norm of each clip, rounded up to a budget."""
    result = FMN(Linf(math.inf), OutputLoss(), steps=steps, bounds=BOUNDS)(net, x, y)
    size = torch.where(result.success, result.size, math.inf).cpu()
    return smallest(torch.stack([size <= eps * (1 + 1e-5) for eps in BUDGETS]))


def part_curve(report: Report, extent: Extent, found: dict[str, str], device: str) -> None:
    """A curve of eight budgets on a multi-label model."""
    generator = torch.Generator().manual_seed(1)
    net = network(extent, labels=True, generator=generator).to(device)
    x = data(extent.curve_clips, extent.frames, generator)[0].to(device)
    with torch.no_grad():
        y = (net(x) > 0).float()  # its own decisions, which all ways try to flip
    ways: dict[str, Callable[[], Tensor]] = {
        f"robust_curve, PGD-{extent.steps}, {precision}": (
            lambda precision=precision: by_curve(net, x, y, extent.steps, OutputLoss(), precision)
        )
        for precision in PRECISIONS
    }
    for steps in (extent.steps, 2 * extent.steps):
        ways[f"FMN, {steps} steps"] = lambda steps=steps: by_norm(net, x, y, steps)
    separate = f"foolbox, PGD-{extent.steps} for each budget"
    if "foolbox" in found:
        ways[separate] = lambda: by_foolbox(net, x, y, extent.steps)
    budgets: dict[str, Tensor] = {}

    def noted(name: str) -> Callable[[], None]:
        return lambda: budgets.update({name: ways[name]()})

    times = take_turns({name: noted(name) for name in ways}, extent.curve_rounds - 1)
    rows: list[Row] = []
    for name in ways:
        row: dict[str, Any] = {"way": name, "min s": min(times[name])}
        row |= {f"{SCALE * eps:g}": _robust(budgets[name], eps) for eps in BUDGETS}
        if separate in ways:
            row["times faster"] = min(times[separate]) / min(times[name])
            row["% larger"] = 100 * (budgets[name] > budgets[separate]).double().mean().item()
        rows.append(row)
    title = f"Robust % of {extent.curve_clips} clips at {len(BUDGETS)} budgets in z-units"
    report.table(title, rows)
    if separate in ways:
        # What leaves more clips robust than the others' way is no replacement for it.
        fit = [row for row in rows if row["% larger"] == 0 and row["way"] != separate]
        fastest = max((row["times faster"] for row in fit), default=0.0)
        report.at_least("Curve, times faster than separate runs", fastest, CURVE)


def _robust(budgets: Tensor, eps: float) -> float:
    return round(100 * (budgets > eps * (1 + 1e-5)).double().mean().item(), 1)
