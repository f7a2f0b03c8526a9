from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyear.datamodules.datasets.birdset.events import (
    Events,
    limit_events,
    limited_counts,
    main_events,
    usable,
)
from steadyear.datamodules.datasets.birdset.tables import read_table, unique_names
from steadyear.datamodules.sources.windows import WindowRule


def _events(*clusters: Sequence[int]) -> Events:
    """Events whose start is their number in their recording."""
    recording = np.repeat(np.arange(len(clusters)), [len(each) for each in clusters])
    number = np.concatenate([np.arange(len(each)) for each in clusters])
    bounds = np.stack([number, number + 0.5], axis=1).astype(float)
    return Events(recording, number, bounds, np.concatenate(clusters).astype(int))


def _kept(events: Events) -> list[tuple[int, int]]:
    return list(zip(events.recording.tolist(), events.number.tolist(), strict=True))


@pytest.mark.parametrize(
    ("clusters", "kept"),
    [
        ([-1, -1, -1, 0, -1, 1, -1, 0, 0, 1], [3, 7, 8]),  # a real row: noise, three of 0, two of 1
        ([1, 0, 1, 0], [1, 3]),  # a tie goes to the smaller number
        ([2, 1, 2], [0, 2]),
        ([-1], [0]),  # noise that is the only event stays
        ([-1, -1], []),
        ([5], [0]),
    ],
)
def test_main_events_of_one_recording(clusters: list[int], kept: list[int]) -> None:
    assert _kept(main_events(_events(clusters))) == [(0, number) for number in kept]


def test_main_events_of_many_recordings() -> None:
    events = _events([0, 1, 1], [-1], [], [3, 0, -1], [-1, -1])
    assert _kept(main_events(events)) == [(0, 1), (0, 2), (1, 0), (3, 1)]
    assert not len(main_events(_events([], [])))


def test_events_without_sense_are_left_out() -> None:
    events = _events([0, 0, 0, 0])
    events.bounds[:3] = [[np.nan, 1], [3, 2], [1, np.inf]]
    assert _kept(usable(events)) == [(0, 3)]


@pytest.mark.parametrize(
    ("counts", "class_limit", "event_limit", "expected"),
    [
        ([9, 5, 2], 12, 1, [5, 5, 2]),  # the next step would leave 6
        ([9, 5, 2], 1, 1, [1, 1, 1]),
        ([9, 5, 2], None, None, [9, 5, 2]),
        ([7, 3], 1, 5, [1, 1]),  # from 7 to 3 passes by 5, and more events than the class may have
        ([7, 3], None, 5, [3, 3]),
        ([8, 8], None, 5, [5, 5]),
        ([4, 2], None, 5, [4, 2]),
        ([6, 5, 5], 8, 5, [5, 5, 5]),  # a class stays above its limit at the limit of recordings
        ([10, 7, 3], 500, 1, [10, 7, 3]),  # a rare class keeps everything
        ([1] * 20, 5, 1, [1] * 20),  # and a frequent one every recording
        ([2] * 300, 500, 1, [2] * 300),  # for ever, as published
        ([2] * 600, 500, 1, [1] * 600),  # for ever, as published
        ([3] * 400, 500, 5, [3] * 400),
        ([], 500, 1, []),
    ],
)
def test_limits(
    counts: list[int], class_limit: int | None, event_limit: int | None, expected: list[int]
) -> None:
    found = limited_counts(np.array(counts, int), class_limit, event_limit)
    assert found.tolist() == expected


@given(
    st.lists(st.integers(1, 12), max_size=30),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(1, 12),
)
def test_limits_always_end(counts: list[int], class_limit: int | None, limit: int | None) -> None:
    before = np.array(counts, int)
    after = limited_counts(before, class_limit, limit)
    assert (after >= np.minimum(before, 1)).all()
    assert (after <= before).all()
    if class_limit is not None:
        assert after.sum() >= min(before.sum(), class_limit)


def test_events_are_drawn_by_class() -> None:
    events = _events(*[[0] * 8] * 3, *[[0] * 4] * 2)
    classes = ["common", "common", "common", "rare", "rare"]
    chosen = limit_events(events, classes, class_limit=6, event_limit=2, seed=0)
    assert np.bincount(chosen.recording).tolist() == [2, 2, 2, 4, 4]
    assert _kept(chosen) == sorted(set(_kept(chosen)))
    assert _kept(limit_events(events, classes, 6, 2, seed=0)) == _kept(chosen)
    assert _kept(limit_events(events, classes, 6, 2, seed=1)) != _kept(chosen)
    assert _kept(limit_events(events, classes, None, None, seed=0)) == _kept(events)


@pytest.mark.parametrize(
    ("event", "duration", "region"),
    [
        ((10.0, 11.0), 60.0, (6.5, 14.5)),
        ((1.0, 2.0), 60.0, (0.0, 8.0)),
        ((58.0, 59.5), 60.0, (52.0, 60.0)),
        ((1.0, 2.0), 6.0, (0.0, 6.0)),
        ((1.0, 2.0), 3.0, (0.0, 3.0)),
        ((10.0, 22.0), 60.0, (10.0, 22.0)),  # a long event stays
        ((0.0, np.inf), 30.0, (0.0, 30.0)),
        ((70.0, 71.0), 60.0, (52.0, 60.0)),  # behind the end
    ],
)
def test_extension(
    event: tuple[float, float], duration: float, region: tuple[float, float]
) -> None:
    rule = WindowRule()
    assert rule.region(*event, duration) == pytest.approx(region)
    low, high = region
    last = max(low, high - 5)
    for draw, start in ((0.0, low), (1.0, last), (0.5, (low + last) / 2)):
        assert rule.random(*event, duration, draw) == pytest.approx((start, start + 5))
    assert rule.central(*event, duration)[0] == pytest.approx((low + last) / 2)


def test_window_of_an_event_without_extension() -> None:
    start, end = WindowRule(extension=0).random(58.0, 59.0, 60.0, 0.3)
    assert (start, end) == (55.0, 60.0)
    assert WindowRule().fixed(3.0, 4.0) == (3.0, 4.0)
    assert WindowRule().fixed(3.0, 14.0) == (3.0, 8.0)


def test_table_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "filepath": pa.array(["a/x.ogg", "y.ogg", "z.ogg"]),
            "ebird_code": pa.array(["one", None, None]),
            "ebird_code_multilabel": pa.array([None, ["two", "three", "two"], []]),
            "start_time": pa.array([None, 1.0, float("nan")]),
            "detected_events": pa.array([[[1.0, 2.0], [3.0, 4.0]], None, [[5.0, 6.0]]]),
            "event_cluster": pa.array([[7, -1], None, [0, 1]]),
        }
    )
    pq.write_table(table, path, row_group_size=1)
    with pytest.warns(UserWarning, match="1 recordings have not one cluster for each event"):
        found = read_table(path)
    assert found.files == ["x.ogg", "y.ogg", "z.ogg"]
    assert found.codes == [("one",), ("two", "three"), ()]
    assert np.isnan(found.starts).tolist() == [True, False, True]
    assert np.isnan(found.ends).all()
    assert _kept(found.events) == [(0, 0), (0, 1), (2, 0)]
    assert found.events.bounds.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert found.events.cluster.tolist() == [7, -1, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ebird_code": ["a"]}, "does not name its recordings"),
        ({"filepath": ["x.ogg"], "ebird_code": [3]}, "numbers in the place of eBird codes"),
        ({"filepath": ["x.ogg"], "detected_events": [[[1.0, 2.0, 3.0]]]}, "a start and an end"),
    ],
)
def test_unusable_tables(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match=message):
        read_table(path)
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(ValueError, match="damaged"):
        read_table(path)


def test_unique_names() -> None:
    assert unique_names(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]
