"""The per-clip tables of a run: their columns and metadata, written and read here alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steadyear.foundation.atomic_files import atomic_path

_METADATA: Final = "steadyear"
_LIST, _REAL, _INTEGER, _TEXT = pa.list_(pa.float64()), pa.float64(), pa.int64(), pa.string()


@dataclass(frozen=True)
class RecordMetadata:
    """What the numbers in a per-clip table stand for; all but ``clips`` is stored with the table.

    Attributes:
        targets: Names of the outputs.
        concepts: Names of the concepts; empty where there are none.
        clips: Names of the clips by index; the table holds them in its column ``clip``.
        stage: ``val`` or ``test``; empty where the table does not say.
        task: What the module states as its task; ``None`` where it states none.
        parts: Names of what predictions are sums of; empty where they are not split.
        part_r2: Share of each concept's variance that the probe behind the parts explains, if they
            are groups of features.
        minimal_norm: Names of the attacks that minimise the norm instead of spending a budget.
        supervised_concepts: ``False`` where the bottleneck's values were not learned from labels,
            so that the names of concepts do not belong to them; ``None`` where it is not said.
        z_unit_db: What one unit of the standardised spectrogram is in dB, where it is known.
    """

    targets: Sequence[str] = ()
    concepts: Sequence[str] = ()
    clips: Sequence[str] = ()
    stage: str = ""
    task: str | None = None
    parts: Sequence[str] = ()
    part_r2: Sequence[float] = ()
    minimal_norm: Sequence[str] = ()
    supervised_concepts: bool | None = None
    z_unit_db: float | None = None

    def clip(self, index: int) -> str:
        """Name of a clip; its number where it has no name."""
        return str(self.clips[index]) if index < len(self.clips) else str(index)

    def names_in(self, column: str) -> Sequence[str]:
        """Names of the values in a column of lists."""
        if column == "contributions":
            return [f"{target}/{part}" for target in self.targets for part in self.parts]
        if self.supervised_concepts is False and column in ("clean_concepts", "attacked_concepts"):
            return ()
        return self.concepts if column.endswith("concepts") else self.targets

    def as_json(self) -> dict[str, Any]:
        """The stored form; what is not known is left out."""
        split = _lists(part_names=self.parts, part_r2=self.part_r2) if self.parts else {}
        known: dict[str, Any] = {
            "stage": self.stage or None,
            "task": self.task,
            "minimal_norm": list(self.minimal_norm) or None,
            "supervised_concepts": self.supervised_concepts,
            "z_unit_db": self.z_unit_db,
        }
        known = {key: value for key, value in known.items() if value is not None}
        return _lists(target_names=self.targets, concept_names=self.concepts) | known | split

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RecordMetadata:
        """What ``as_json`` gave, or an earlier version of it.

        Raises:
            KeyError: If targets have no names.
            TypeError: If something has another form than it should.
        """
        return cls(
            targets=tuple(stored["target_names"]),
            concepts=tuple(stored.get("concept_names") or ()),
            stage=stored.get("stage", ""),
            task=stored.get("task"),
            parts=tuple(stored.get("part_names") or ()),
            part_r2=tuple(stored.get("part_r2") or ()),
            minimal_norm=tuple(stored.get("minimal_norm") or ()),
            supervised_concepts=stored.get("supervised_concepts"),
            z_unit_db=stored.get("z_unit_db"),
        )


@dataclass(frozen=True)
class RecordSchema:
    """Columns of a per-clip table.

    Attributes:
        columns: Columns that every table has.
        optional: Columns that a table has where they mean something.
        later: Those of ``columns`` that tables of earlier versions lack.
        key: Columns that identify a row, in the order that rows are sorted by.
        cure: What to do about a table that cannot be read.
    """

    columns: Mapping[str, pa.DataType]
    key: tuple[str, ...]
    cure: str
    optional: Mapping[str, pa.DataType] = field(default_factory=dict)
    later: frozenset[str] = frozenset()

    def frame(self, rows: Sequence[Mapping[str, Any]], metadata: RecordMetadata) -> pd.DataFrame:
        """Rows of all processes as a table: each key once, sorted, with the names of the clips.

        The first column of the key keeps the order in which its values first occur.

        Args:
            rows: One mapping per row, without ``clip``.
            metadata: Knows the names of the clips.
        """
        first, *_ = keys = list(self.key)
        frame = pd.DataFrame(rows).drop_duplicates(keys).reset_index(drop=True)
        frame["clip"] = [metadata.clip(index) for index in frame["index"]]
        order = {name: i for i, name in enumerate(dict.fromkeys(frame[first]))}
        frame = frame.sort_values(keys, key=lambda c: c.map(order) if c.name == first else c)
        empty = [name for name in self.optional if frame[name].isna().all()]
        frame = frame.drop(columns=empty)
        return frame[list(self._types(frame))].reset_index(drop=True)

    def write(self, frame: pd.DataFrame, metadata: RecordMetadata, path: Path) -> None:
        """Write a table; the file is there whole or not at all."""
        stored = {_METADATA: json.dumps(metadata.as_json())}
        schema = pa.schema(list(self._types(frame).items()), stored)
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        with atomic_path(path) as partial:
            pq.write_table(table.replace_schema_metadata(schema.metadata), partial)

    def read(self, path: Path) -> tuple[pa.Table, RecordMetadata]:
        """Read a table of at least one row, of this or an earlier version.

        Raises:
            ValueError: If the file is damaged or empty, or lacks a column or its metadata.
        """
        try:
            table = pq.ParquetFile(path).read()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} is damaged ({error}); {self.cure}.") from error
        wanted = [name for name in self.columns if name not in self.later]
        self.require(table, wanted, path)
        try:
            stored = json.loads((table.schema.metadata or {})[_METADATA.encode()])
            metadata = RecordMetadata.from_json(stored)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} does not name its targets and concepts; {self.cure}."
            ) from error
        return table, metadata

    def require(self, table: pa.Table, columns: Sequence[str], path: Path) -> None:
        """Refuse a table without rows, or without one of some columns.

        Raises:
            ValueError: If the table lacks something.
        """
        missing = [name for name in columns if name not in table.column_names]
        if missing or table.num_rows == 0:
            problem = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
            raise ValueError(f"{path} {problem}; {self.cure}.")

    def _types(self, frame: pd.DataFrame) -> dict[str, pa.DataType]:
        present = {name: kind for name, kind in self.optional.items() if name in frame}
        return dict(self.columns) | present


ROBUSTNESS: Final = RecordSchema(
    columns={
        "clip": _TEXT,
        "index": _INTEGER,
        "attack": _TEXT,
        "domain": _TEXT,
        "norm": _TEXT,
        "budget": _REAL,
        "achieved_linf": _REAL,
        "achieved_l2": _REAL,
        "achieved_size": _REAL,
        "snr_db": _REAL,
        "target": _LIST,
        "clean_prediction": _LIST,
        "attacked_prediction": _LIST,
        "target_concepts": _LIST,
        "clean_concepts": _LIST,
        "attacked_concepts": _LIST,
        "clean_error": _REAL,
        "attacked_error": _REAL,
        "success": pa.bool_(),
        "gradient_queries": _INTEGER,
        "forward_queries": _INTEGER,
    },
    key=("attack", "domain", "norm", "budget", "index"),
    cure="run `steadyear test` again",
    # Of modules that can split their predictions, or that offer a loss of each clip.
    optional={"contributions": _LIST, "prs": _REAL, "drs": _REAL, "tars": _REAL},
    later=frozenset({"achieved_size", "clean_error", "attacked_error", "forward_queries"}),
)
"""``robustness.parquet``: one row per clip, attack and budget."""

CORRUPTIONS: Final = RecordSchema(
    columns={
        "clip": _TEXT,
        "index": _INTEGER,
        "corruption": _TEXT,
        "severity": _INTEGER,
        "snr_db": _REAL,
        "target": _LIST,
        "clean_prediction": _LIST,
        "corrupted_prediction": _LIST,
        "clean_error": _REAL,
        "corrupted_error": _REAL,
    },
    key=("corruption", "severity", "index"),
    cure="run `steadyear test` with the callback audio_c again",
)
"""``corruptions.parquet``: one row per clip, corruption and severity."""


def _lists(**values: Sequence[Any]) -> dict[str, Any]:
    return {name: list(value) for name, value in values.items()}
