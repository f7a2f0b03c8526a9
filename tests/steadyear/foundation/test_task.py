"""Tasks are what modules state, not what their metrics look like."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from steadyear.foundation.task import (
    MULTILABEL,
    REGRESSION,
    clip_errors_of,
    per_clip_error,
    task_of,
)
from steadyear.lightning_modules import MultiLabelModule, RegressionModule


def test_modules_state_their_task():
    assert task_of(MultiLabelModule) is MULTILABEL
    assert task_of(RegressionModule) is REGRESSION


@pytest.mark.parametrize("stated", [None, "captions", 3, ["regression"]])
def test_other_modules_have_none(stated):
    assert task_of(SimpleNamespace(task=stated)) is None
    assert task_of(object()) is None


def test_errors_of_clips():
    assert clip_errors_of(object()) is per_clip_error
    real = per_clip_error(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0]]))
    assert real.tolist() == [2]
    wrong = per_clip_error(torch.tensor([[1.0, 3.0], [3.0, 1.0]]), torch.tensor([1, 1]))
    assert wrong.tolist() == [0, 1]
