from __future__ import annotations

import pytest
import torch
from sklearn.metrics import label_ranking_loss

from steadyear.lightning_modules.metrics import multilabel_scores


def test_it_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(20, 4, generator=generator)
    target = torch.rand(20, 4, generator=generator).round()
    expected = label_ranking_loss(target, prediction)
    assert multilabel_scores(prediction, target)["ranking_loss"] == pytest.approx(expected)
