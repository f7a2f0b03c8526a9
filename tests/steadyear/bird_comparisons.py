"""What several tests of multi-label comparisons need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from steadyear.compare import Summary
from steadyear.compare.load.cells import AttackKey, Cell
from steadyear.compare.load.find import find_runs
from steadyear.compare.load.groups import group
from steadyear.compare.load.runs import read_run
from steadyear.compare.statistics.summary import summarize

STRONGEST = Cell(AttackKey("pgd", "spectrogram", "linf"), 0.1)


def numbers(root: Path) -> Summary:
    """The comparison without its files."""
    return summarize(group([read_run(folder) for folder in find_runs([root])[0]]))


def cmap(target: np.ndarray, scores: np.ndarray) -> float:
    some = target.any(axis=0)
    return float(average_precision_score(target[:, some], scores[:, some], average="macro"))
