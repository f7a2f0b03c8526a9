"""Keyed random numbers have the recorded values: a published figure depends on each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden import (
    attack_streams,  # noqa: F401 (enters its streams)
    data_streams,  # noqa: F401 (enters its streams)
    result_streams,  # noqa: F401 (enters its streams)
)
from tests.golden.streams import STREAMS, numbers

RECORDED = json.loads(Path(__file__).with_name("random_streams.json").read_text(encoding="utf-8"))


def test_every_record_has_a_stream() -> None:
    assert set(RECORDED) == set(STREAMS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RECORDED)
def test_numbers_are_the_recorded_ones(name: str, tmp_path: Path) -> None:
    same(numbers(name, tmp_path), RECORDED[name], name)


def same(found: Any, recorded: Any, where: str) -> None:
    """Compare branch by branch: whole numbers exactly, others up to rounding."""
    if isinstance(recorded, dict):
        assert list(found) == list(recorded), where
        for key, each in recorded.items():
            same(found[key], each, f"{where}: {key}")
    elif isinstance(recorded, list):
        assert len(found) == len(recorded), where
        for place, (ours, theirs) in enumerate(zip(found, recorded, strict=True)):
            same(ours, theirs, f"{where}[{place}]")
    elif isinstance(recorded, float):
        assert found == pytest.approx(recorded, rel=1e-4, abs=1e-6), where
    else:
        assert (type(found), found) == (type(recorded), recorded), where
