"""The axis of a robustness curve."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from steadyear.compare.figures.curves import _budget_axis

GRIDS = {
    "apart": ([0.001, 0.01, 0.1], ["0", "0.001", "0.01", "0.1"]),
    "close": ([0.001, 0.01, 0.05, 0.1, 0.2], ["0", "0.001", "0.01", "0.05", "0.2"]),
    "one": ([0.1], ["0", "0.1"]),
    "none": ([], ["0"]),
}


def axis_of(budgets, apart=None, decibels=None):
    axis = Figure().add_subplot()
    _budget_axis(axis, budgets, apart, decibels)
    return [label.get_text() for label in axis.get_xticklabels()]


@pytest.mark.parametrize("name", GRIDS)
def test_budgets_have_labels_where_there_is_room_and_the_largest_always(name) -> None:
    budgets, labels = GRIDS[name]
    assert axis_of(budgets) == labels


def test_decibels_stand_below_and_the_unbounded_apart() -> None:
    assert axis_of([0.1, 1.0], 3.0, 10.0) == ["0\n0", "0.1\n1", "1\n10", "unbounded"]
    assert axis_of([0.1, 1.0], 3.0) == ["0", "0.1", "1", "unbounded"]
