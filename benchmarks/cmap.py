"""Exact multi-label scores of a large test set: time and memory, beside torchmetrics.

Run: python benchmarks/cmap.py [--clips 205200] [--classes 81]
Prints a table and writes cmap.json into the working directory.

205200 x 81 is the test set of SSW, the largest of BirdSet. Each method runs in a process of its own,
with one thread, on the same random scores, some of them with ties, that come in batches of 64. Its
memory is what the process needs at most above the batches themselves, from the first update to the
result.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.classification import MultilabelAveragePrecision

from steadyear.lightning_modules.metrics import CMAP, MultilabelMetrics

BATCH = 64
LABELS_PER_CLIP = 0.4
REPEATS = 3
# Linux counts in KiB, macOS in bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def batches(clips: int, classes: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Scores, labels and index of every batch; labelled classes score higher."""
    rng = np.random.default_rng(0)
    for first in range(0, clips, BATCH):
        size = min(BATCH, clips - first)
        target = rng.random((size, classes), dtype=np.float32) < LABELS_PER_CLIP / classes
        scores = rng.standard_normal((size, classes), dtype=np.float32) - 4
        scores[target] += 2
        scores[: size // 8] = scores[: size // 8].round(1)
        index = torch.arange(first, first + size)
        yield torch.from_numpy(scores), torch.from_numpy(target), index


def cmap(data: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """Our cmAP alone."""
    return {"cmap": _collected(CMAP(), data).compute().item()}


def all_figures(data: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """Our cmAP, AUROC, top-1 accuracies and micro AP together."""
    found = _collected(MultilabelMetrics(), data).compute()
    return {name: value.item() for name, value in found.items()}


def reference(data: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """The exact macro average precision of torchmetrics."""
    metric = MultilabelAveragePrecision(data[0][0].shape[1], average="macro", thresholds=None)
    # It turns scores into probabilities if a batch has one outside of [0, 1].
    for scores, target, _ in data:
        metric.update(scores, target.int())
    return {"cmap": metric.compute().item()}


def _collected(metric: Any, data: list[tuple[Tensor, Tensor, Tensor]]) -> Any:
    for scores, target, index in data:
        metric.update(scores, target, index)
    return metric


METHODS: dict[str, Callable[[list[tuple[Tensor, Tensor, Tensor]]], dict[str, float]]] = {
    "CMAP": cmap,
    "MultilabelMetrics (all figures)": all_figures,
    "torchmetrics MultilabelAveragePrecision": reference,
}


def measure(name: str, clips: int, classes: int) -> dict[str, Any]:
    """Seconds, memory and results of one method; run it in a process of its own."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="No positive samples")
    METHODS[name](list(batches(256, classes)))  # what is loaded late is no part of the method
    data = list(batches(clips, classes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    figures = METHODS[name](data)
    seconds = time.perf_counter() - started
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": seconds, "extra_mib": extra * MAXRSS_UNIT / 2**20, "figures": figures}


def fastest(name: str, clips: int, classes: int) -> dict[str, Any]:
    """The fastest of a few runs, which other work on the machine disturbed least."""
    runs = []
    for _ in range(REPEATS):
        # A fresh process, because the peak of memory never falls.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            runs.append(pool.apply(measure, (name, clips, classes)))
    return min(runs, key=lambda run: float(run["seconds"]))


def main() -> None:
    """Measure all methods and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=205_200)
    parser.add_argument("--classes", type=int, default=81)
    size = parser.parse_args()
    scores_mib = size.clips * size.classes * 4 / 2**20
    results = {name: fastest(name, size.clips, size.classes) for name in METHODS}
    slowest = results["torchmetrics MultilabelAveragePrecision"]["seconds"]
    print(f"{size.clips} x {size.classes}: the scores alone are {scores_mib:.0f} MiB")
    print(f"{'':<42}{'seconds':>9}{'speed':>8}{'extra MiB':>11}{'x scores':>10}{'cmAP':>9}")
    for name, found in results.items():
        found["speed"] = slowest / found["seconds"]
        found["total_over_scores"] = 1 + found["extra_mib"] / scores_mib
        print(
            f"{name:<42}{found['seconds']:>9.2f}{found['speed']:>7.1f}x{found['extra_mib']:>11.0f}"
            f"{found['total_over_scores']:>10.2f}{found['figures']['cmap']:>9.5f}"
        )
    record = {"clips": size.clips, "classes": size.classes, "scores_mib": scores_mib}
    Path("cmap.json").write_text(json.dumps(record | {"methods": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
