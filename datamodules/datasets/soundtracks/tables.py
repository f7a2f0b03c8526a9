"""The tables of Soundtracks and Mid-level, joined by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from steadyear.datamodules.tables.ratings import RatingTable

EMOTIONS = ["valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender"]

CONCEPTS = [
    "melody",
    "articulation",
    "rhythm_complexity",
    "rhythm_stability",
    "dissonance",
    "atonality",
    "mode",
]
"""Published names; ``atonality`` is tonal stability (higher is more tonal), ``mode`` minorness."""

SCALE = 10.0


class _LowerCaseTable(RatingTable):
    """A table whose column names are read in lower case: a circulating export capitalises them."""

    def _read(self) -> pd.DataFrame:
        table = super()._read()
        table.columns = table.columns.str.lower()
        return table


def read_emotions(path: Path, num_clips: int) -> Tensor:
    """Read the mean ratings of set 1.

    Commas, semicolons or tabs, with or without BOM, capitals in column names and empty columns
    behind the last are all read.

    Args:
        path: ``mean_ratings_set1.csv``.
        num_clips: Number of clips; they are numbered from 1.

    Returns:
        Ratings divided by 10, by number of clip, shape (clips, 8), in the order of ``EMOTIONS``.

    Raises:
        ValueError: If a column, a clip or a rating is missing, or occurs twice.
    """
    table = _LowerCaseTable(path, "number")
    rows = _row_of_number(path, table.ids, range(len(table.ids)), num_clips)
    return table.numbers(EMOTIONS, SCALE)[rows]


def read_concepts(annotations: Path, metadata: Path, num_clips: int) -> Tensor:
    """Read the mid-level features of the Soundtracks clips.

    ``metadata`` says by ``song id`` which rows of ``annotations`` are Soundtracks clips
    (``Source``), and which ones (``ID at file source``). The order of the rows does not matter.

    Args:
        annotations: ``annotations.csv``, 5000 rows.
        metadata: ``metadata.csv``: all rows, or at least those of Soundtracks.
        num_clips: Number of clips; they are numbered from 1.

    Returns:
        Features divided by 10, by number of clip, shape (clips, 7), in the order of ``CONCEPTS``.

    Raises:
        ValueError: If columns, clips or values are missing, or the ids of the tables disagree.
    """
    features = _LowerCaseTable(annotations, "song_id")
    songs = _LowerCaseTable(metadata, "song id")
    unknown = sorted(set(songs.ids) - set(features.ids))
    if unknown:
        raise ValueError(
            f"The ids of {metadata} and {annotations} disagree: the song ids "
            f"{_listing(unknown)} of the former are missing in the latter."
        )
    sources = [source.lower() for source in songs.text("source")]
    chosen = [row for row, source in enumerate(sources) if source == "soundtracks"]
    numbers = songs.text("id at file source")
    rows = _row_of_number(metadata, [numbers[row] for row in chosen], chosen, num_clips)
    place = {song: row for row, song in enumerate(features.ids)}
    return features.numbers(CONCEPTS, SCALE)[[place[songs.ids[row]] for row in rows]]


def _row_of_number(
    path: Path, numbers: Sequence[str], rows: Sequence[int], num_clips: int
) -> list[int]:
    """Return the row of clip 1, 2, ...; every clip must have exactly one."""
    unusable = [text for text in numbers if not (text.isascii() and text.isdigit())]
    if unusable:
        raise ValueError(f"{path}: {_listing(unusable)} are no numbers of Soundtracks clips.")
    found = pd.Series(list(rows), index=[int(text) for text in numbers])
    expected = range(1, num_clips + 1)
    problems = {
        "missing": sorted(set(expected) - set(found.index)),
        "unknown": sorted(set(found.index) - set(expected)),
        "more than once": sorted(set(found.index[found.index.duplicated()])),
    }
    texts = [f"{kind}: {_listing(ids)}" for kind, ids in problems.items() if ids]
    if texts:
        raise ValueError(
            f"{path} must have one row for every Soundtracks clip from 1 to {num_clips}; "
            f"{'; '.join(texts)}."
        )
    return [int(found[number]) for number in expected]


def _listing(ids: Sequence[object]) -> str:
    shown = ", ".join(str(item) for item in ids[:10])
    return shown if len(ids) <= 10 else f"{shown} and {len(ids) - 10} more"
