"""Read what `steadyear test` leaves in a run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from steadyear.compare.load.cells import NORM_LABELS, AttackKey, Cell, in_order
from steadyear.compare.load.contributions import read_contributions
from steadyear.compare.load.find import CURE, FACTS, RESULTS, what_is_missing
from steadyear.compare.load.per_clip import (
    column,
    concept_matrix,
    matrix,
    optional_matrix,
    read_table,
    task_of_table,
)
from steadyear.compare.scores.tasks import TaskReport
from steadyear.foundation.records import RecordMetadata

ROBUSTNESS: Final = ("prs", "drs", "tars")
"""Robustness scores of single clips, see ``steadyear.attacks.evaluation.scores``; in some tables only."""

WANTED: Final = {"experiment": str, "run": str, "system": str, "seed": int}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attacked:
    """What one attack at one budget did to every clip.

    Attributes:
        prediction: Attacked outputs, shape (clips, targets).
        concepts: Attacked concepts, shape (clips, concepts), where the system has them.
        success: Whether the attack reached its goal, shape (clips,).
        gradient_queries: Gradients spent, shape (clips,).
        achieved_linf: Largest change, in the domain's unit, shape (clips,).
        achieved_l2: L2 norm of the perturbation, in the domain's unit, shape (clips,).
        achieved_size: Size of the perturbation in the attack's own norm, shape (clips,).
        snr_db: Signal-to-noise ratio in dB, NaN where no audio exists, shape (clips,).
        errors: Error of each clip, shape (clips,).
        robustness: Robustness scores of each clip, shape (clips,), by their name in the table.
        contributions: What each part adds to attacked minus clean outputs, shape (clips, targets,
            parts), where the system has parts.
    """

    prediction: Floats
    concepts: Floats | None
    success: Floats
    gradient_queries: Floats
    achieved_linf: Floats
    achieved_l2: Floats
    achieved_size: Floats
    snr_db: Floats
    errors: Floats
    robustness: dict[str, Floats]
    contributions: Floats | None = None


@dataclass(frozen=True)
class Run:
    """One trained and attacked system; clips are sorted by their index.

    Attributes:
        folder: Where it was read from.
        experiment: Name of the experiment.
        name: Name of the run inside the experiment.
        seed: Seed of the training.
        system: Name of the system.
        facts: Everything in ``run.json``.
        names: RecordMetadata of targets and concepts.
        clips: Names of the clips.
        target: True outputs, shape (clips, targets).
        prediction: Outputs without attack, shape (clips, targets).
        target_concepts: True concepts, shape (clips, concepts), where they exist.
        concepts: Concepts without attack, shape (clips, concepts), where they exist.
        errors: Error of each clip without attack, shape (clips,).
        attacked: What every attack did.
    """

    folder: Path
    experiment: str
    name: str
    seed: int
    system: str
    facts: dict[str, Any]
    names: RecordMetadata
    clips: tuple[str, ...]
    target: Floats
    prediction: Floats
    target_concepts: Floats | None
    concepts: Floats | None
    errors: Floats
    attacked: dict[Cell, Attacked]

    @property
    def task(self) -> TaskReport:
        """What the system does."""
        return task_of_table(self.names)

    @property
    def title(self) -> str:
        """Experiment and run, free of machine paths."""
        return f"{self.experiment}/{self.name}"

    @property
    def fit_seconds(self) -> float | None:
        """Training time in seconds, where it was recorded."""
        value = self.facts.get("fit_seconds")
        return None if value is None else float(value)


def read_run(folder: Path) -> Run:
    """Read one run folder.

    Args:
        folder: Folder with ``run.json`` and ``robustness.parquet``.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If one of the two files is missing.
        ValueError: If a file is damaged, or does not hold every clip once per attack and budget.
    """
    if problem := what_is_missing(folder):
        raise FileNotFoundError(f"{folder} {problem}; {CURE}.")
    facts = _read_facts(folder / FACTS)
    path = folder / RESULTS
    table, names = read_table(path)
    cells = _split(table, names, path)
    first = next(iter(cells.values()))
    targets, concepts = len(names.targets), len(names.concepts)
    width = task_of_table(names).target_width or targets
    target = matrix(first, "target", width, path)
    prediction = matrix(first, "clean_prediction", targets, path)
    return Run(
        folder=folder,
        experiment=facts["experiment"],
        name=facts["run"],
        seed=facts["seed"],
        system=facts["system"],
        facts=facts,
        names=names,
        clips=tuple(first["clip"].to_pylist()),
        target=target,
        prediction=prediction,
        target_concepts=optional_matrix(first, "target_concepts", concepts, path),
        concepts=concept_matrix(first, "clean_concepts", names, path),
        errors=_errors(first, "clean_error", prediction, names, path),
        attacked={cell: _attacked(rows, names, path) for cell, rows in cells.items()},
    )


def _attacked(rows: pa.Table, names: RecordMetadata, path: Path) -> Attacked:
    prediction = matrix(rows, "attacked_prediction", len(names.targets), path)
    clean = matrix(rows, "clean_prediction", len(names.targets), path)
    return Attacked(
        prediction=prediction,
        concepts=concept_matrix(rows, "attacked_concepts", names, path),
        success=column(rows, "success"),
        gradient_queries=column(rows, "gradient_queries"),
        achieved_linf=column(rows, "achieved_linf"),
        achieved_l2=column(rows, "achieved_l2"),
        achieved_size=column(rows, _size_column(rows)),
        snr_db=column(rows, "snr_db"),
        errors=_errors(rows, "attacked_error", prediction, names, path),
        robustness={name: column(rows, name) for name in ROBUSTNESS if name in rows.column_names},
        contributions=read_contributions(rows, names, clean, prediction, path),
    )


def _size_column(rows: pa.Table) -> str:
    # Older tables know two norms only, and have a column for each.
    norms = rows["norm"].to_pylist()[:1]
    return "achieved_size" if "achieved_size" in rows.column_names else f"achieved_{norms[0]}"


def _errors(
    rows: pa.Table, name: str, prediction: Floats, names: RecordMetadata, path: Path
) -> Floats:
    if not task_of_table(names).mean_over_clips:
        return column(rows, name)
    # The table's own errors are of single precision.
    target = matrix(rows, "target", len(names.targets), path)
    return np.asarray(np.abs(prediction - target).mean(axis=1), dtype=np.float64)


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {CURE}.") from error
    known = facts if isinstance(facts, dict) else {}
    wrong = [key for key, kind in WANTED.items() if not isinstance(known.get(key), kind)]
    if wrong:
        raise ValueError(f"{path} has no valid {', '.join(wrong)}; {CURE}.")
    return known


def _split(table: pa.Table, names: RecordMetadata, path: Path) -> dict[Cell, pa.Table]:
    keys = zip(
        *(table[name].to_pylist() for name in ("attack", "domain", "norm", "budget")), strict=True
    )
    rows: dict[Cell, list[int]] = {}
    for row, (name, domain, norm, budget) in enumerate(keys):
        if norm not in NORM_LABELS:
            known = ", ".join(NORM_LABELS)
            raise ValueError(f"{path} has an attack in norm {norm!r}; compare knows {known}.")
        attack = AttackKey(name, domain, norm, name in names.minimal_norm)
        rows.setdefault(Cell(attack, budget), []).append(row)
    cells = {cell: table.take(rows[cell]).sort_by("index") for cell in in_order(rows)}
    _check_clips(cells, path)
    return cells


def _check_clips(cells: dict[Cell, pa.Table], path: Path) -> None:
    every = {clip for rows in cells.values() for clip in rows["index"].to_pylist()}
    for cell, rows in cells.items():
        clips = rows["index"].to_pylist()
        if len(clips) != len(every) or set(clips) != every:
            raise ValueError(
                f"{path} has {len(set(clips))} clips in {len(clips)} rows for {cell.label}, where "
                f"{len(every)} clips were attacked in all; run `steadyear test` again."
            )
