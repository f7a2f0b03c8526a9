"""The attacks give the recorded figures: successes and queries exactly, values up to rounding.

A refactoring changes nothing here. Where a figure is meant to change, see `record.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.attacks.registry import ATTACKS
from tests.golden.golden_attacks import FIELDS, REAL, ROWS, approximately, costs, exported, measure

RECORDED = json.loads(Path(__file__).with_name("auto_attack.json").read_text(encoding="utf-8"))


def test_every_attack_and_every_record_has_a_row() -> None:
    assert list(RECORDED["rows"]) == list(ROWS)
    recorded = {name.replace(",", " ").split()[0] for name in ROWS}
    golden = {name.split()[0] for name, row in ATTACKS.items() if row.golden}
    assert recorded == golden, (
        "golden_attacks.py and the column golden of tests/attacks/registry.py differ"
    )
    assert recorded <= exported()


@pytest.mark.parametrize("name", RECORDED["rows"])
def test_figures_are_the_recorded_ones(name: str) -> None:
    found, recorded = measure(name), RECORDED["rows"][name]
    assert list(recorded) == list(FIELDS)
    for field in FIELDS:
        wanted = recorded[field]
        assert found[field] == (approximately(wanted) if field in REAL else wanted), field


def test_costs_of_the_ensemble_are_the_recorded_ones() -> None:
    assert costs() == RECORDED["costs"]
