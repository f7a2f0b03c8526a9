"""Scores of real-valued predictions against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from steadyear.lightning_modules.metrics import ClipPredictions, regression_scores


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(2)
    target = torch.rand(50, 3, generator=generator) * 2 - 1
    return target + 0.5 * torch.randn(50, 3, generator=generator), target


def test_scores_equal_the_references(clips):
    prediction, target = clips
    p, t = prediction.double().numpy(), target.double().numpy()
    correlation = [pearsonr(p[:, i], t[:, i]).statistic for i in range(3)]
    scores = regression_scores(prediction, target, ["a", "b", "c"])
    assert scores == pytest.approx(
        {
            "pearson": np.mean(correlation),
            "mae": mean_absolute_error(t, p),
            "rmse": root_mean_squared_error(t, p),
            "r2": r2_score(t, p),
            "pearson/a": correlation[0],
            "pearson/b": correlation[1],
            "pearson/c": correlation[2],
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_correlation_does_not_depend_on_scale(clips, scale):
    prediction, target = clips
    expected = regression_scores(prediction, target)["pearson"]
    assert regression_scores(prediction * scale, target)["pearson"] == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, -1234.567])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_predictions_count_as_no_correlation(clips, value, dtype):
    prediction, target = clips
    prediction = prediction.clone().to(dtype)
    prediction[:, 1] = value
    scores = regression_scores(prediction, target, ["a", "b", "c"])
    assert scores["pearson/b"] == pytest.approx(0, abs=1e-12)
    assert scores["pearson"] == pytest.approx((scores["pearson/a"] + scores["pearson/c"]) / 3)


def test_r2_leaves_out_targets_without_variation(clips):
    prediction, target = clips
    target = target.clone()
    target[:, 2] = 0.5
    expected = r2_score(target[:, :2].double().numpy(), prediction[:, :2].double().numpy())
    assert regression_scores(prediction, target)["r2"] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(regression_scores(prediction[:, 2:], target[:, 2:])["r2"])


def test_names_must_fit(clips):
    with pytest.raises(ValueError, match="longer"):
        regression_scores(*clips, ["a", "b"])


def test_repeated_clips_count_once_and_come_in_order(clips):
    prediction, target = clips
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    order = torch.cat([order, order[:7]])
    metric = ClipPredictions()
    for part in order.split(8):
        metric.update(prediction[part], target[part], part)
    collected = metric.compute()
    assert torch.equal(collected[0], prediction)
    assert torch.equal(collected[1], target)

    metric.reset()
    metric.update(prediction[:2], target[:2], torch.tensor([9, 3]))
    assert torch.equal(metric.compute()[0], prediction[[1, 0]])


def test_of_repeats_the_first_is_kept():
    metric = ClipPredictions()
    metric.update(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1), torch.tensor([4, 4]))
    metric.update(torch.tensor([[3.0]]), torch.zeros(1, 1), torch.tensor([4]))
    assert metric.compute()[0].tolist() == [[1.0]]
