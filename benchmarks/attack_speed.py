"""How fast our attacks are beside those of other libraries, on the network of the MER study.

Run: python benchmarks/attack_speed.py [--quick]
Prints tables and writes attack_speed.json into the working directory. Needs the bench extra; a
library that is not installed is left out. About 12 minutes on 2 free cores. Where there is a CUDA
device everything runs there, with torch.compile as further rows, and ConvNeXt-B is attacked too.

Memory: a process for each attack; how much its peak rises from one clip to many, per further clip.

PGD with ten steps: all attacks run in one process and take turns, in a new order every round, from
the same start; ART draws its own. All hand out the last point and judge nothing; what a call of ours
costs, which predicts the clean and the attacked clips and keeps the worst point, has rows of its own.
The floor is the same arithmetic without anything around it: ten gradients of a model that is already
folded. Beside it stands what the counted operations take at the speed of a large matrix product.

Curve: eight budgets on a multi-label model, and each clip's smallest budget at which a label flips.
The others' way is PGD once for every budget, on all clips.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import attack_peers as peers
import torch
import torch.nn.functional as F
from attack_report import Report, Row
from mer_attack import BANDS, EMOTIONS, floor
from speed_curve import part_curve
from speed_runs import (
    EPS,
    OTHERS,
    PRECISIONS,
    QUICK,
    SCALE,
    STEPS,
    Extent,
    Standardised,
    attacks_of,
    bare,
    data,
    network,
    take_turns,
)
from torch import Tensor, nn

from steadyear.lightning_modules import AudioVGG, ConvNeXt

# How many times faster than torchattacks, foolbox and ART, by precision.
AIMS = {"fp32": (1.25, 1.6, 1.6), "bf16": (2.3, 3.2, 3.2)}
SAME_LOSS, OVER_FLOOR, MEMORY = 1e-3, 1.05, 0.5
# Linux counts in KiB, macOS in bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def part_pgd(report: Report, extent: Extent, found: dict[str, str], device: str) -> None:
    """Time and attacked loss of PGD."""
    generator = torch.Generator().manual_seed(0)
    net = network(extent, labels=False, generator=generator).to(device)
    x, shape = (part.to(device) for part in data(extent.batch, extent.frames, generator))
    y = shape.argmax(1)
    within = peers.budget("linf", EPS, extent.steps, x)
    runs = attacks_of(net, x, y, within, found)
    losses = {name: attacked_loss(net, run(), y) for name, run in runs.items()}

    timed: dict[str, Callable[[], Any]] = dict(runs)
    net.requires_grad_(False)
    for precision in PRECISIONS:
        timed[f"floor {precision}"] = bare(net, x, y, within, precision)
    net.requires_grad_()  # as a user's model is; freezing it is the attack's own affair
    times = take_turns(timed, extent.rounds)
    least = {name: min(spent) for name, spent in times.items()}
    table: list[Row] = [
        {
            "attack": name,
            "min s": least[name],
            "median s": statistics.median(times[name]),
            "ours fp32 is faster": least[name] / least["ours fp32"],
            "ours bf16 is faster": least[name] / least["ours bf16"],
            **({"attacked loss": losses[name]} if name in losses else {}),
        }
        for name in timed
    ]
    title = f"PGD-{extent.steps}, {extent.batch} clips of {extent.frames} x {BANDS}"
    report.table(f"{title}, {extent.rounds} rounds", table)
    aims_of_pgd(report, title, least, losses)
    if device == "cpu":
        counted(report, extent, net, x, least)


def attacked_loss(net: nn.Module, adversarial: Tensor, y: Tensor) -> float:
    """Mean cross-entropy in full precision."""
    with torch.no_grad():
        return F.cross_entropy(net(adversarial), y).item()


def aims_of_pgd(
    report: Report, title: str, least: dict[str, float], losses: dict[str, float]
) -> None:
    """Speed against each library and the floor, at the same loss."""
    for precision in PRECISIONS:
        mine = f"ours {precision}"
        for name, aim in zip(OTHERS, AIMS[precision], strict=True):
            if name in least:
                report.at_least(f"{title}, {mine} over {name}", least[name] / least[mine], aim)
        over = least[mine] / least[f"floor {precision}"]
        report.at_most(f"{title}, {mine} over its floor", over, OVER_FLOOR)
        for name in ("torchattacks", "foolbox"):  # which have the same start
            if name in losses:
                away = abs(losses[mine] / losses[name] - 1)
                report.at_most(f"{title}, {mine}, loss against {name}", away, SAME_LOSS)


def counted(
    report: Report, extent: Extent, net: nn.Module, x: Tensor, least: dict[str, float]
) -> None:
    """What the counted operations take at the speed of matrix products, for comparison."""
    bound = floor(net, x, extent.product_side)
    rows: list[Row] = []
    for precision in PRECISIONS:
        spent = bound[f"{precision} ms per step and clip"] / 1e3 * extent.steps * extent.batch
        rows.append(
            {
                "precision": precision,
                "GFLOP per gradient": bound["GFLOP per gradient"],
                "matrix product GFLOP/s": bound[f"{precision} GFLOP/s"],
                "s for all gradients": spent,
                "ours over it": least[f"ours {precision}"] / spent,
            }
        )
    report.table("Counted operations at the speed of matrix products", rows)


def peak_growth(name: str, extent: Extent, threads: int) -> float:
    """MiB by which each further clip raises the peak of this process; run it in one of its own."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    trunk = AudioVGG(extent.width)
    net = nn.Sequential(Standardised(), trunk, nn.Linear(trunk.embedding_dim, EMOTIONS)).eval()
    peaks = []
    for number in (1, extent.memory_clips):
        x, shape = data(number, extent.frames, torch.Generator().manual_seed(0))
        within = peers.budget("linf", EPS, 2, x)
        attacks_of(net, x, shape.argmax(1), within, {name: ""} if name in OTHERS else {})[name]()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / 2**20)
    return (peaks[1] - peaks[0]) / (extent.memory_clips - 1)


def part_memory(report: Report, extent: Extent, found: dict[str, str], threads: int) -> None:
    """Peak memory per clip."""
    # Freed memory goes back at once; otherwise the figures would show the habits of the allocator.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "262144"
    names = [f"ours {precision}" for precision in PRECISIONS]
    names += [name for name in OTHERS if name in found]
    growth = {}
    for name in names:
        with get_context("spawn").Pool(1) as pool:
            growth[name] = pool.apply(peak_growth, (name, extent, threads))
    title = f"Peak memory per clip of {extent.frames} x {BANDS}"
    report.table(title, [{"attack": name, "MiB": mib} for name, mib in growth.items()])
    for name in names[: len(PRECISIONS)]:
        if growth.get("foolbox", 0) > 0:
            share = growth[name] / growth["foolbox"]
            report.at_most(f"{title}: {name} over foolbox", share, MEMORY)


# ConvNeXt-B, on a GPU only.


class BirdNet(nn.Module):
    """ConvNeXt-B with a linear head over BirdSet's spectrograms."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.trunk = ConvNeXt()
        self.head = nn.Linear(self.trunk.embedding_dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        found: Tensor = self.head(self.trunk(SCALE * (x - 0.5)).mean((-2, -1)))
        return found


def part_birds(report: Report, found: dict[str, str], batch: int = 32) -> None:
    """Clips per second of PGD on ConvNeXt-B."""
    torch.manual_seed(0)
    net = BirdNet().eval().cuda()
    x = torch.rand(batch, 1, 128, 501, device="cuda")
    y = torch.randint(21, (batch,), device="cuda")
    within = peers.budget("linf", EPS, STEPS, x)
    times = take_turns(attacks_of(net, x, y, within, found), 3)
    rows = [
        {"attack": name, "clips/s": batch / min(spent), "median": batch / statistics.median(spent)}
        for name, spent in times.items()
    ]
    report.table(f"PGD-{STEPS} on ConvNeXt-B, {batch} clips of 128 x 501", rows)


def main(arguments: list[str] | None = None) -> None:
    """Measure everything that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run, of no meaning")
    parser.add_argument("--parts", default="memory,pgd,curve")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=None)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report, found = Report(options.threads), peers.installed()
    peers.report_missing(found)
    extent = QUICK if options.quick else Extent()
    if device == "cuda" and not options.quick:
        extent = extent._replace(batch=36, curve_clips=36)
    if options.rounds is not None:
        extent = extent._replace(rounds=options.rounds)
    if "memory" in options.parts:
        # First, because a new process begins with the peak of the one that starts it.
        part_memory(report, extent, found, options.threads)
    if "pgd" in options.parts:
        part_pgd(report, extent, found, device)
    if "curve" in options.parts:
        part_curve(report, extent, found, device)
    if device == "cuda":
        part_birds(report, found)
    report.write("attack_speed.json")


if __name__ == "__main__":
    main()
