"""Scores of single-label classifiers against scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from torch.nn.functional import one_hot

from steadyear.lightning_modules.metrics import (
    MulticlassMetrics,
    class_numbers,
    multiclass_scores,
)

CLASSES = 5


@pytest.fixture
def clips():
    """The last class is in no clip."""
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(CLASSES - 1, (60,), generator=generator)
    noise = torch.randn(60, CLASSES, generator=generator)
    return noise + 1.5 * one_hot(target, CLASSES), target


def test_scores_equal_the_references(clips):
    prediction, target = clips
    found, chosen = multiclass_scores(prediction, target, list("abcde")), prediction.argmax(1)
    occurring = [*range(CLASSES - 1)]
    recalls = recall_score(target, chosen, labels=occurring, average=None)
    confidence, right = prediction.softmax(1).amax(1), chosen == target
    bins = (confidence * 15).ceil() - 1
    gaps = [
        (confidence[bins == b] - right[bins == b].float()).sum().abs().item() for b in range(15)
    ]
    assert found == pytest.approx(
        {
            "accuracy": accuracy_score(target, chosen),
            "balanced_accuracy": balanced_accuracy_score(target, chosen),
            "macro_f1": f1_score(target, chosen, average="macro"),
            "calibration_error": sum(gaps) / 60,
            **{f"recall/{name}": recall for name, recall in zip("abcd", recalls, strict=True)},
        },
        rel=1e-5,
    )


def test_numbers_columns_and_one_hot_labels_are_the_same(clips):
    prediction, target = clips
    expected = multiclass_scores(prediction, target)
    assert multiclass_scores(prediction, target[:, None].double()) == expected
    assert multiclass_scores(prediction, one_hot(target, CLASSES)) == expected
    with pytest.raises(ValueError, match="exactly one class per clip"):
        class_numbers(torch.tensor([[1, 1, 0], [0, 1, 0]]))


def test_small_logits_are_no_probabilities(clips):
    prediction, target = clips
    small = (prediction - prediction.min()) / (prediction.max() - prediction.min())
    confidence, right = small.softmax(1).amax(1), small.argmax(1) == target
    assert confidence.max() < 7 / 15  # all in few bins
    bins = (confidence * 15).ceil()
    gaps = [(confidence - right.float())[bins == b].sum().abs().item() for b in range(1, 16)]
    found = multiclass_scores(small, target)["calibration_error"]
    assert found == pytest.approx(sum(gaps) / 60, rel=1e-5)


def test_a_diverged_model_has_no_score(clips):
    prediction, target = clips
    prediction[3, 2] = math.nan
    assert all(math.isnan(value) for value in multiclass_scores(prediction, target).values())


def test_batches_with_repeats_give_the_scores_of_all_clips(clips):
    prediction, target = clips
    metric = MulticlassMetrics(list("abcde"))
    for some in (slice(0, 25), slice(20, 60)):
        metric.update(prediction[some], target[some], torch.arange(60)[some])
    found = {name: value.item() for name, value in metric.compute().items()}
    assert found == pytest.approx(multiclass_scores(prediction, target, list("abcde")))
