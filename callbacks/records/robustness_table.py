"""The table of a robustness evaluation: one row per clip, attack and budget."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from steadyear.attacks import Attack, AttackResult, l2_norm, linf_norm, prediction_of, snr_db
from steadyear.callbacks.records.clip_figures import ClipFigures
from steadyear.callbacks.records.worst_cases import WorstCase
from steadyear.foundation.atomic_files import atomic_path

_COLUMNS = {
    "clip": pa.string(),
    "index": pa.int64(),
    "attack": pa.string(),
    "domain": pa.string(),
    "norm": pa.string(),
    "budget": pa.float64(),
    "achieved_linf": pa.float64(),
    "achieved_l2": pa.float64(),
    "achieved_size": pa.float64(),
    "snr_db": pa.float64(),
    "target": pa.list_(pa.float64()),
    "clean_prediction": pa.list_(pa.float64()),
    "attacked_prediction": pa.list_(pa.float64()),
    "target_concepts": pa.list_(pa.float64()),
    "clean_concepts": pa.list_(pa.float64()),
    "attacked_concepts": pa.list_(pa.float64()),
    "clean_error": pa.float64(),
    "attacked_error": pa.float64(),
    "success": pa.bool_(),
    "gradient_queries": pa.int64(),
    "forward_queries": pa.int64(),
}
_OPTIONAL = {
    "contributions": pa.list_(pa.float64()),
    "prs": pa.float64(),
    "drs": pa.float64(),
    "tars": pa.float64(),
}
"""Only in tables of modules that can split their predictions, or that offer a loss of each clip."""


@dataclass
class Names:
    """What the numbers in a table stand for.

    Attributes:
        clips: Names of the clips by index; without them a clip is called by its number.
        targets: Names of the outputs.
        concepts: Names of the bottleneck's values.
        parts: Names of what predictions are sums of.
        part_r2: Share of each concept's variance that the probe behind the parts explains, if they
            are groups of features.
        minimal_norm: Names of the attacks that minimise the norm instead of spending a budget.
        task: ``multilabel`` for modules that are scored by cmAP; empty for others.
        supervised_concepts: Whether the bottleneck's values were learned from labels. Without them
            the names of concepts do not belong to them.
        z_unit_db: What one unit of the standardised spectrogram is in dB, where the module says.
    """

    clips: Sequence[str] = ()
    targets: Sequence[str] = ()
    concepts: Sequence[str] = ()
    parts: Sequence[str] = ()
    part_r2: Sequence[float] = ()
    minimal_norm: Sequence[str] = ()
    task: str = ""
    supervised_concepts: bool = True
    z_unit_db: float | None = None

    @classmethod
    def of(cls, datamodule: object, module: object = None) -> Names:
        """What a data module says about its clips, targets and concepts, and a module about units."""
        fields = ("clip_ids", "target_names", "concept_names")
        clips, targets, concepts = (list(getattr(datamodule, field, ())) for field in fields)
        names = cls(clips, targets, concepts)
        head, frontend = (getattr(module, name, None) for name in ("head", "frontend"))
        names.supervised_concepts = getattr(head, "supervised_concepts", None) is not False
        # A front end that limits its range in dB gives dB.
        if hasattr(frontend, "top_db") and isinstance(
            std := getattr(frontend, "std", None), Tensor
        ):
            names.z_unit_db = float(std)
        return names

    def of_column(self, column: str) -> Sequence[str]:
        """Names of the values in a column of lists."""
        if column == "contributions":
            return [f"{target}/{part}" for target in self.targets for part in self.parts]
        if not self.supervised_concepts and column in ("clean_concepts", "attacked_concepts"):
            return ()
        return self.concepts if column.endswith("concepts") else self.targets

    def clip(self, index: int) -> str:
        """Name of a clip."""
        return str(self.clips[index]) if index < len(self.clips) else str(index)

    def decibels(self, frame: pd.DataFrame, cases: Sequence[WorstCase]) -> dict[str, float]:
        """Budgets in dB by row of the figures, of bounds on the values of spectrograms in dB.

        Args:
            frame: What ``RobustnessTable.frame`` gave.
            cases: Which attacks have a worst case together.
        """
        if self.z_unit_db is None:
            return {}
        cells = frame[["attack", "domain", "norm", "budget"]].drop_duplicates()
        cells = cells[(cells["domain"] == "spectrogram") & (cells["norm"] == "linf")]
        found = {
            (name, b): b * self.z_unit_db
            for name, b in zip(cells["attack"], cells["budget"], strict=True)
            if math.isfinite(b)
        }
        # Attacks with a worst case together have one unit.
        worst = {case.cell: found.get((case.attacks[0], case.budget)) for case in cases}
        rows = {f"{name}@{b:g}": size for (name, b), size in found.items()} | worst
        return {row: size for row, size in rows.items() if size is not None}


@dataclass(frozen=True)
class Cell:
    """One attack at one budget.

    Attributes:
        name: Configured name of the attack.
        attack: The attack.
        budget: Its budget in the unit of the domain.
        domain: Where the perturbation lives.
    """

    name: str
    attack: Attack
    budget: float
    domain: str


@dataclass
class RobustnessTable:
    """Collects attacked batches and becomes a table.

    Attributes:
        rows: One mapping per clip, attack and budget.
        figures: How the module measures a clip.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    figures: ClipFigures = field(default_factory=ClipFigures)

    def add(
        self,
        cell: Cell,
        result: AttackResult,
        target: Tensor,
        index: Tensor,
        target_concepts: Tensor | None,
        contributions: Tensor | None = None,
        sound: AttackResult | None = None,
    ) -> None:
        """Add an attacked batch.

        Args:
            cell: Which attack at which budget.
            result: What it found.
            target: True values or classes of the clips.
            index: Stable numbers of the clips, shape (batch,).
            target_concepts: True concepts, where the data has them.
            contributions: What each part adds to the change of each prediction, shape (batch,
                targets, parts), where the module can tell.
            sound: The result as waveforms, where the attack made some; gives the SNR.
        """
        clean, attacked = result.clean_output, result.output
        columns: dict[str, Tensor | None] = {
            "index": index,
            "achieved_linf": linf_norm(result.perturbation),
            "achieved_l2": l2_norm(result.perturbation),
            "achieved_size": result.size,
            "snr_db": _snr(sound),
            "target": target.reshape(len(target), -1),
            "clean_prediction": prediction_of(clean),
            "attacked_prediction": prediction_of(attacked),
            "target_concepts": target_concepts,
            "clean_concepts": getattr(clean, "concepts", None),
            "attacked_concepts": getattr(attacked, "concepts", None),
            **self.figures.columns(result, target, cell.attack.objective),
            "success": result.success,
            "gradient_queries": result.gradient_queries,
            "forward_queries": result.forward_queries,
            "contributions": None if contributions is None else contributions.flatten(1),
        }
        shared = {
            "attack": cell.name,
            "domain": cell.domain,
            "norm": cell.attack.ball.norm,
            "budget": cell.budget,
        }
        values = {name: _listed(column, len(index)) for name, column in columns.items()}
        self.rows += [
            shared | {name: column[i] for name, column in values.items()} for i in range(len(index))
        ]

    def frame(self, names: Names) -> pd.DataFrame:
        """The rows of all clips, each clip once, ordered by attack, budget and clip."""
        keys = ["attack", "domain", "norm", "budget", "index"]
        frame = pd.DataFrame(self.rows).drop_duplicates(keys).reset_index(drop=True)
        frame["clip"] = [names.clip(index) for index in frame["index"]]
        order = {name: i for i, name in enumerate(dict.fromkeys(frame["attack"]))}
        frame = frame.sort_values(keys, key=lambda c: c.map(order) if c.name == "attack" else c)
        frame = frame.drop(columns=[name for name in _OPTIONAL if frame[name].isna().all()])
        return frame[list(_columns(frame))].reset_index(drop=True)


def write_table(frame: pd.DataFrame, names: Names, stage: str, path: Path) -> None:
    """Write a table so that it is there whole or not at all.

    Args:
        frame: What ``RobustnessTable.frame`` gave.
        names: What the numbers stand for; kept in the file's metadata.
        stage: ``val`` or ``test``.
        path: Where to write it.
    """
    meaning: dict[str, Any] = {
        "target_names": list(names.targets),
        "concept_names": list(names.concepts),
        "stage": stage,
    }
    if names.minimal_norm:
        meaning["minimal_norm"] = list(names.minimal_norm)
    if names.task:
        meaning["task"] = names.task
    if not names.supervised_concepts and frame["clean_concepts"].notna().any():
        meaning["supervised_concepts"] = False
    if names.z_unit_db is not None:
        meaning["z_unit_db"] = names.z_unit_db
    if "contributions" in frame:
        meaning |= {"part_names": list(names.parts), "part_r2": list(names.part_r2)}
    schema = pa.schema(list(_columns(frame).items()), {"steadyear": json.dumps(meaning)})
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    with atomic_path(path) as partial:
        pq.write_table(table.replace_schema_metadata(schema.metadata), partial)


def _columns(frame: pd.DataFrame) -> dict[str, pa.DataType]:
    return _COLUMNS | {name: kind for name, kind in _OPTIONAL.items() if name in frame}


def stacked(frame: pd.DataFrame, column: str) -> Tensor:
    """A column of lists as a tensor, shape (clips, values)."""
    return torch.tensor(frame[column].tolist(), dtype=torch.float64)


def _snr(sound: AttackResult | None) -> Tensor | None:
    # Only a waveform is a signal; standardised spectrograms have no signal-to-noise ratio.
    if sound is None:
        return None
    clean = sound.adversarial - sound.perturbation
    return snr_db(clean.flatten(1), sound.perturbation.flatten(1))


def _listed(column: Tensor | None, length: int) -> list[Any]:
    if column is None:
        return [None] * length
    values = column.detach().cpu()
    return list((values.double() if values.is_floating_point() else values).tolist())
