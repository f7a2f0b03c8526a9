from __future__ import annotations

import pytest
import torch

from steadyear.lightning_modules.metrics import (
    MultilabelMetrics,
    multilabel_scores,
    registry,
    regression_scores,
)


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(9, 3, generator=generator), torch.rand(9, 3, generator=generator).round()


def test_a_registered_score_stands_beside_those_of_its_task(monkeypatch, clips):
    monkeypatch.setattr(registry, "_SCORES", {})

    @registry.score("multilabel", "highest")
    def highest(prediction: torch.Tensor, target: torch.Tensor) -> float:
        return float(prediction.max()) + float(target.sum())

    prediction, target = clips
    expected = pytest.approx(float(prediction.max() + target.sum()))
    assert multilabel_scores(prediction, target)["highest"] == expected
    metric = MultilabelMetrics()
    metric.update(prediction[:5], target[:5], torch.arange(5))
    metric.update(prediction[4:], target[4:], torch.arange(4, 9))
    assert metric.compute()["highest"].item() == expected
    assert "highest" not in regression_scores(prediction, target)
    assert registry.registered("multilabel")["highest"].label == "highest"
    with pytest.raises(ValueError, match="rename the function"):
        registry.score("multilabel", "again")(highest)
