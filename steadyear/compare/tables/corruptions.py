"""audio-C: what corruptions as they happen in the field do to every system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from steadyear.compare.load.per_clip import matrix
from steadyear.compare.load.runs import Run
from steadyear.compare.render.pages import Table
from steadyear.compare.render.style import look
from steadyear.compare.render.text import MISSING, show
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary
from steadyear.foundation.records import CORRUPTIONS

FILE: Final = "corruptions.parquet"
TITLE: Final = "Corruptions: audio-C"
Cell = tuple[str, int]
"""A corruption and its severity."""


@dataclass(frozen=True)
class Corrupted:
    """One run under corruptions.

    Attributes:
        clean: The task's score without corruption, from waveforms.
        scores: The task's score under every corruption and severity.
        higher_is_better: Whether more of the score is better.
    """

    clean: float
    scores: dict[Cell, float]
    higher_is_better: bool

    def figures(self, cells: Sequence[Cell]) -> dict[str, float]:
        """Scores over some cells: ``clean``, ``mean``, ``worst``, and the mean of each corruption.

        ``worst`` is the worst of these.

        Args:
            cells: Corruptions and severities to average over.
        """
        of_each = {
            name: [cell for cell in cells if cell[0] == name]
            for name in dict.fromkeys(name for name, _ in cells)
        }
        means = {name: _mean(self.scores, own) for name, own in of_each.items()}
        worst = (min if self.higher_is_better else max)(means.values())
        return {"clean": self.clean, "mean": _mean(self.scores, cells), "worst": worst} | means


def read_corrupted(run: Run) -> Corrupted | None:
    """Read the table of corruptions of a run.

    Args:
        run: The run.

    Returns:
        Its scores; ``None`` where it was not tested under corruptions.

    Raises:
        ValueError: If the file is damaged, or does not hold every clip once per severity.
    """
    path = run.folder / FILE
    if not path.is_file():
        return None
    table, width = CORRUPTIONS.read(path)[0], len(run.names.targets)
    scores: dict[Cell, float] = {}
    clean = 0.0
    for cell, rows in _split(table, path).items():
        target = matrix(rows, "target", run.task.target_width or width, path)
        if not scores:
            clean = _score(run, matrix(rows, "clean_prediction", width, path), target)
        scores[cell] = _score(run, matrix(rows, "corrupted_prediction", width, path), target)
    return Corrupted(clean, scores, run.task.higher_is_better)


def _split(table: pa.Table, path: Path) -> dict[Cell, pa.Table]:
    rows: dict[Cell, list[int]] = {}
    keys = zip(table["corruption"].to_pylist(), table["severity"].to_pylist(), strict=True)
    for row, cell in enumerate(keys):
        rows.setdefault(cell, []).append(row)
    cells = {cell: table.take(own) for cell, own in rows.items()}
    every = set(table["index"].to_pylist())
    for (name, severity), own in cells.items():
        if sorted(own["index"].to_pylist()) != sorted(every):
            raise ValueError(
                f"{path} does not hold every clip once for {name} at severity {severity}; {CORRUPTIONS.cure}."
            )
    return cells


def _score(run: Run, prediction: Any, target: Any) -> float:
    metrics, _ = run.task.figures(prediction, target, run.names.targets)
    return metrics[run.task.score.key]


def _mean(values: Mapping[Cell, float], cells: Sequence[Cell]) -> float:
    return float(np.mean([values[cell] for cell in cells]))


@dataclass(frozen=True)
class AudioC:
    """All systems under the corruptions that every tested run met.

    Attributes:
        cells: These corruptions and severities, in the order of the first run.
        systems: Figures of every system that was tested, over its seeds.
    """

    cells: tuple[Cell, ...]
    systems: list[tuple[SystemSummary, dict[str, Spread]]]


def audio_c(summary: Summary) -> AudioC | None:
    """Collect what corruptions did.

    Args:
        summary: The comparison.

    Returns:
        The figures; ``None`` where no run was tested, or runs have no corruption in common.
    """
    found = {
        system.label: {run.seed: each for run in system.group.runs if (each := read_corrupted(run))}
        for system in summary.systems
    }
    shared = _shared([each for runs in found.values() for each in runs.values()])
    if not shared:
        return None
    tested = [system for system in summary.systems if found[system.label]]
    return AudioC(shared, [(each, _spreads(found[each.label], shared)) for each in tested])


def _shared(tested: Sequence[Corrupted]) -> tuple[Cell, ...]:
    cells = tested[0].scores if tested else ()
    return tuple(cell for cell in cells if all(cell in each.scores for each in tested))


def _spreads(runs: Mapping[int, Corrupted], cells: Sequence[Cell]) -> dict[str, Spread]:
    by_seed = {seed: run.figures(cells) for seed, run in runs.items()}
    names = next(iter(by_seed.values()))
    return {name: Spread({seed: each[name] for seed, each in by_seed.items()}) for name in names}


def corruption_tables(summary: Summary) -> list[Table]:
    """Every tested system under every corruption.

    Args:
        summary: The comparison.

    Returns:
        One table, or none.
    """
    found = audio_c(summary)
    if found is None:
        return []
    names = list(found.systems[0][1])
    rows = [[system.label, *(show(each[name]) for name in names)] for system, each in found.systems]
    colours = tuple(look(summary.systems.index(system)).color for system, _ in found.systems)
    return [Table(TITLE, _caption(summary, found), ["system", *names], rows, colours=colours)]


def _caption(summary: Summary, found: AudioC) -> str:
    score = summary.task.score
    better = "higher" if summary.task.higher_is_better else "lower"
    severities = ", ".join(map(str, sorted({severity for _, severity in found.cells})))
    tested = [system.label for system, _ in found.systems]
    untested = [each.label for each in summary.systems if each.label not in tested]
    left_out = f" Not tested: {', '.join(untested)}." if untested else ""
    return (
        f"{score.label} under corruptions of the waveform, mean over severities {severities}; "
        f"{better} is better. clean: the same clips without corruption. worst: the corruption that "
        f"degrades most, of each seed. {MISSING}: undefined.{left_out}"
    )


def audio_c_json(summary: Summary) -> list[dict[str, Any]]:
    """The numbers of :func:`corruption_tables`.

    Args:
        summary: The comparison.

    Returns:
        One mapping per tested system; values are per seed.
    """
    found = audio_c(summary)
    systems = [] if found is None else found.systems
    cells = [] if found is None else [list(cell) for cell in found.cells]
    return [
        {"label": system.label, "cells": cells}
        | {name: {str(s): v for s, v in spread.values.items()} for name, spread in each.items()}
        for system, each in systems
    ]
