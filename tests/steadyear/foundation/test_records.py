"""Per-clip tables: what is written is read again, and damaged files are refused."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadyear.foundation.records import CORRUPTIONS, RecordMetadata

METADATA = RecordMetadata(
    targets=("valence", "energy"),
    concepts=("minor",),
    stage="test",
    task="regression",
    parts=("minor", "remainder"),
    part_r2=(0.5,),
    minimal_norm=("fmn",),
    supervised_concepts=False,
    z_unit_db=4.5,
)


def table() -> pd.DataFrame:
    row = dict.fromkeys(("clean_error", "corrupted_error", "snr_db"), 1.0)
    row |= {key: [1.0, 2.0] for key in ("target", "clean_prediction", "corrupted_prediction")}
    keys = [("wind", 2, 1), ("wind", 2, 0), ("rain", 1, 0), ("wind", 2, 1)]
    rows = [dict(zip(CORRUPTIONS.key, key, strict=True)) | row for key in keys]
    return CORRUPTIONS.frame(rows, RecordMetadata(clips=["first"]))


def test_rows_are_sorted_named_and_unique():
    found = table()[["corruption", "severity", "index", "clip"]]
    assert found.to_numpy().tolist() == [
        ["wind", 2, 0, "first"],
        ["wind", 2, 1, "1"],
        ["rain", 1, 0, "first"],
    ]


def test_what_is_written_is_read(tmp_path):
    frame = table()
    CORRUPTIONS.write(frame, METADATA, tmp_path / "corruptions.parquet")
    read, metadata = CORRUPTIONS.read(tmp_path / "corruptions.parquet")
    assert metadata == METADATA
    assert read.to_pylist() == frame.to_dict("records")


def test_what_is_not_known_is_not_stored():
    stored = RecordMetadata(targets=["valence"]).as_json()
    assert stored == {"target_names": ["valence"], "concept_names": []}
    assert RecordMetadata.from_json({"target_names": ["a"]}) == RecordMetadata(targets=("a",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["severity"]), "lacks the columns severity"),
        (lambda table: table.slice(0, 0), "has no rows"),
        (lambda table: table.replace_schema_metadata({}), "does not name its targets"),
        (None, "is damaged"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, change, message):
    path = tmp_path / "corruptions.parquet"
    CORRUPTIONS.write(table(), METADATA, path)
    if change is None:
        path.write_bytes(path.read_bytes()[:-9])
    else:
        pq.write_table(change(pa.concat_tables([pq.read_table(path)])), path)
    with pytest.raises(ValueError, match=f"{message}.*audio_c again"):
        CORRUPTIONS.read(path)
