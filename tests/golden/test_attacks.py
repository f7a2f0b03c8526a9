"""Results of attacks are those of earlier versions of the code."""

from __future__ import annotations

import json

import pytest

from tests.golden.cases import FILE, cases, figures

GOLDEN = json.loads(FILE.read_text())
CASES = cases()


def test_every_golden_figure_has_a_case():
    assert GOLDEN.keys() == CASES.keys()


def marked(name):
    whole = name.startswith("AudioAutoAttack") and "quick" not in name
    return pytest.param(name, marks=pytest.mark.slow if whole else ())


@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_figures_are_those_of_before(name):
    found, golden = figures(CASES[name]()), GOLDEN[name]
    for counted in ("success", "gradient_queries", "forward_queries"):
        assert found[counted] == golden[counted]
    # Another processor rounds otherwise; a search by decisions stops within its own tolerance.
    for measured in ("objective", "size"):
        assert found[measured] == pytest.approx(golden[measured], rel=1e-6, abs=1e-6)
