"""The published tables of recordings and clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lightning.pytorch.utilities import rank_zero_warn

from steadyear.datamodules.datasets.birdset.events import Events, Floats, Ints

COLUMNS = (
    "filepath",
    "__index_level_0__",
    "ebird_code",
    "ebird_code_multilabel",
    "start_time",
    "end_time",
    "detected_events",
    "event_cluster",
)


@dataclass(frozen=True)
class BirdSetTable:
    """What one published table says.

    Args:
        path: The file.
        files: Name of the recording of each row, without folders.
        codes: eBird codes of the species of each row; none if there is no bird.
        starts: Start of each row in seconds; not a number where the table says nothing.
        ends: End of each row in seconds; not a number where the table says nothing.
        events: Detected events of all rows.
    """

    path: Path
    files: list[str]
    codes: list[tuple[str, ...]]
    starts: Floats
    ends: Floats
    events: Events


def read_table(path: Path) -> BirdSetTable:
    """Read a table of metadata.

    Args:
        path: A parquet file; labels in it are eBird codes.

    Raises:
        ValueError: If it is damaged, or lacks the names of the recordings or their species.
    """
    try:
        existing = pq.read_schema(path).names
        table = pq.read_table(path, columns=[name for name in COLUMNS if name in existing])
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"The table {path} is damaged ({error}); delete it and download it again."
        ) from error
    table = table.combine_chunks()
    return BirdSetTable(
        path,
        _files(table, path),
        _codes(table, path),
        _seconds(table, "start_time"),
        _seconds(table, "end_time"),
        _events(table, path),
    )


def _files(table: pa.Table, path: Path) -> list[str]:
    for column in ("filepath", "__index_level_0__"):
        if column in table.column_names and pa.types.is_string(_text(table, column).type):
            return [str(name).rsplit("/", 1)[-1] for name in _text(table, column).to_pylist()]
    raise ValueError(f"{path} does not name its recordings: it has no column filepath.")


def _text(table: pa.Table, column: str) -> pa.Array:
    values = _column(table, column)
    return values.cast(pa.string()) if pa.types.is_large_string(values.type) else values


def _column(table: pa.Table, column: str) -> pa.Array:
    chunks = table.column(column)
    return chunks.chunk(0) if chunks.num_chunks else pa.array([], chunks.type)


def _codes(table: pa.Table, path: Path) -> list[tuple[str, ...]]:
    lists, single = (
        _column(table, name).to_pylist() if name in table.column_names else [None] * len(table)
        for name in ("ebird_code_multilabel", "ebird_code")
    )
    # Older revisions leave the list empty where there is one species.
    codes = [
        tuple(dict.fromkeys(many)) if many else ((one,) if one is not None else ())
        for many, one in zip(lists, single, strict=True)
    ]
    numbers = {code for row in codes for code in row if not isinstance(code, str)}
    if numbers:
        raise ValueError(
            f"{path} has numbers in the place of eBird codes, such as {min(numbers)}: these are "
            "not the published files, whose numbers mean another species in every data set."
        )
    return codes


def _seconds(table: pa.Table, column: str) -> Floats:
    if column not in table.column_names:
        return np.full(len(table), np.nan)
    values: Floats = _column(table, column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan)


def _events(table: pa.Table, path: Path) -> Events:
    if "detected_events" not in table.column_names or _all_null(table, "detected_events"):
        none = np.empty(0, int)
        return Events(none, none, np.empty((0, 2)), none)
    counts, pairs = _flat(_column(table, "detected_events"))
    lengths, values = _flat(pairs)
    if (lengths != 2).any():
        raise ValueError(f"{path}: every one of detected_events needs a start and an end.")
    bounds = values.cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(-1, 2)
    recording = np.repeat(np.arange(len(table)), counts)
    number = np.arange(len(recording)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Events(recording, number, bounds, _clusters(table, path, counts))


def _clusters(table: pa.Table, path: Path, counts: Ints) -> Ints:
    """Cluster of each event; 0 for the events of recordings without one cluster for each event."""
    clusters = np.zeros(int(counts.sum()), int)
    if "event_cluster" not in table.column_names or _all_null(table, "event_cluster"):
        return clusters
    lengths, values = _flat(_column(table, "event_cluster"))
    fits = lengths == counts
    if not fits.all():
        rank_zero_warn(
            f"{path}: {int((~fits).sum())} recordings have not one cluster for each event; their "
            "events count as one cluster."
        )
    numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(int)
    clusters[np.repeat(fits, counts)] = numbers[np.repeat(fits, lengths)]
    return clusters


def _flat(lists: pa.Array) -> tuple[Ints, pa.Array]:
    """Lengths of the lists, 0 where there is none, and their values one behind the other."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return lengths.astype(int), pc.list_flatten(lists)


def _all_null(table: pa.Table, column: str) -> bool:
    return bool(_column(table, column).null_count == len(table))


def unique_names(names: Sequence[str]) -> list[str]:
    """Number the names that occur more than once, from the second on.

    Args:
        names: Names.
    """
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique
