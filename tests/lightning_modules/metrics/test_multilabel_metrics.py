"""Multi-label figures against scikit-learn: absent classes, ties, clips without labels."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    label_ranking_average_precision_score,
    roc_auc_score,
)
from torchmetrics import MetricCollection

from steadyear.lightning_modules.metrics import (
    AUROC,
    CMAP,
    ClipMean,
    MicroAP,
    MultilabelMetrics,
    Top1Accuracy,
    multilabel_scores,
    ranking_errors,
)
from tests.lightning_modules import multilabel_processes


def case(seed, clips=60, classes=11, levels=None, density=0.15):
    """Scores with ties where ``levels`` is small; some classes absent, one in every clip."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(clips, classes)).astype(np.float32)
    if levels:
        scores = np.round(scores * levels).astype(np.float32)
    target = rng.random((clips, classes)) < density
    target[rng.random(clips) < 0.3] = False
    target[:, rng.random(classes) < 0.2] = False
    if seed % 3 == 0:
        target[:, 0] = True
    return torch.from_numpy(scores), torch.from_numpy(target.astype(np.float32))


def expected(scores, target):
    s, t = scores.numpy(), target.numpy().astype(int)
    present = [c for c in range(t.shape[1]) if t[:, c].any()]
    ap = {c: average_precision_score(t[:, c], s[:, c]) for c in present}
    roc = [roc_auc_score(t[:, c], s[:, c]) for c in present if not t[:, c].all()]
    some = t.any(1)
    choice = s.argmax(1)
    # The class itself if it is right, else another one, for scikit-learn to compare.
    truth = np.where(t[np.arange(len(t)), choice] == 1, choice, -1)
    reported = np.where(s.max(1) >= 0, choice, -1)
    return {
        "cmap": np.mean(list(ap.values())) if ap else math.nan,
        "auroc": np.mean(roc) if roc else math.nan,
        "top1": accuracy_score(truth[some], choice[some]) if some.any() else math.nan,
        "top1_with_nocalls": accuracy_score(truth, np.where(some, choice, reported)),
        "micro_ap": average_precision_score(t.ravel(), s.ravel()) if t.any() else math.nan,
    }, ap


@pytest.mark.parametrize("levels", [None, 3, 1])
@pytest.mark.parametrize("seed", range(8))
def test_figures_equal_scikit_learn(seed, levels):
    scores, target = case(seed, levels=levels)
    figures, ap = expected(scores, target)
    names = [f"class{i}" for i in range(11)]
    found = multilabel_scores(scores, target, names)
    figures |= {f"ap/class{c}": value for c, value in ap.items()}
    assert found == pytest.approx(figures, rel=1e-9, nan_ok=True)
    assert multilabel_scores(scores.double(), target) == pytest.approx(
        {name: value for name, value in figures.items() if "/" not in name}, rel=1e-9
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    clips=st.integers(1, 12),
    classes=st.integers(1, 20),
    levels=st.sampled_from([None, 1, 2]),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_small_cases_equal_scikit_learn(seed, clips, classes, levels, density):
    scores, target = case(seed, clips, classes, levels, density)
    assert multilabel_scores(scores, target) == pytest.approx(
        expected(scores, target)[0], rel=1e-9, nan_ok=True
    )


def filled(metric, scores, target, order=None, batch=7):
    order = torch.arange(len(scores)) if order is None else order
    for part in order.split(batch):
        metric.update(scores[part], target[part], part)
    return metric


METRICS = {
    "cmap": CMAP,
    "auroc": AUROC,
    "top1": Top1Accuracy,
    "top1_with_nocalls": lambda: Top1Accuracy(with_nocalls=True),
    "micro_ap": MicroAP,
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("repeats", [0, 9])
def test_metrics_count_each_clip_once(name, repeats):
    scores, target = case(5, levels=3)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    order = torch.cat([order, order[5 : 5 + repeats]])
    metric = filled(METRICS[name](), scores, target, order)
    figures = expected(scores, target)[0]
    assert metric.compute().item() == pytest.approx(figures[name], rel=1e-6)
    metric.reset()
    filled(metric, scores[:20], target[:20])
    figures = expected(scores[:20], target[:20])[0]
    assert metric.compute().item() == pytest.approx(figures[name], rel=1e-6)


def test_of_repeats_the_first_is_kept():
    metric = CMAP()
    metric.update(torch.tensor([[1.0], [0.0]]), torch.tensor([[1], [0]]), torch.tensor([4, 2]))
    metric.update(torch.tensor([[5.0], [9.0]]), torch.tensor([[0], [0]]), torch.tensor([2, 4]))
    assert metric.compute() == 1


def test_values_of_each_class_are_kept():
    scores, target = case(1)
    ap = expected(scores, target)[1]
    metric = filled(CMAP(), scores, target)
    metric.compute()
    found = metric.per_class
    assert found.isnan().tolist() == [c not in ap for c in range(11)]
    assert found[~found.isnan()].tolist() == pytest.approx(list(ap.values()))
    area = filled(AUROC(), scores, target)
    area.compute()
    assert area.per_class.nanmean().item() == pytest.approx(area.compute().item(), rel=1e-6)


def test_all_figures_come_from_one_collection():
    scores, target = case(4)
    metric = filled(MultilabelMetrics(["a", *"bcdefghijk"]), scores, target)
    found = {name: value.item() for name, value in metric.compute().items()}
    assert found == pytest.approx(multilabel_scores(scores, target, "abcdefghijk"), rel=1e-6)
    together = MetricCollection({name: make() for name, make in METRICS.items()})
    for part in torch.arange(60).split(7):
        together.update(scores[part], target[part], part)
    for name, value in together.compute().items():
        assert value.item() == pytest.approx(found[name], rel=1e-6)
    # Equal states are shared.
    assert len(together.compute_groups) == 1


def test_classes_without_positives_are_left_out_and_not_zero():
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.3], [0.4, 0.2]])
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    found = multilabel_scores(scores, target)
    assert found["cmap"] == found["auroc"] == 1
    empty = multilabel_scores(scores, torch.zeros(3, 2))
    assert math.isnan(empty["cmap"])
    assert math.isnan(empty["micro_ap"])
    assert math.isnan(empty["top1"])
    assert empty["top1_with_nocalls"] == 0


def test_no_calls_are_right_where_nothing_is_reported():
    scores = torch.tensor([[-1.0, -2.0], [0.0, -2.0], [3.0, 1.0]])
    target = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert multilabel_scores(scores, target)["top1_with_nocalls"] == pytest.approx(2 / 3)
    strict = filled(Top1Accuracy(with_nocalls=True, threshold=0.5), scores, target)
    assert strict.compute() == 1


def test_logits_and_probabilities_rank_alike():
    scores, target = case(7)
    logits, probabilities = (
        multilabel_scores(each, target) for each in (scores, scores.double().sigmoid())
    )
    for name in ("cmap", "auroc", "top1", "micro_ap"):
        assert logits[name] == pytest.approx(probabilities[name], rel=1e-12)


def test_nan_is_never_a_figure():
    scores, target = case(2)
    scores[3, 1], target[4, 1] = math.nan, 1
    found = multilabel_scores(scores, target, "abcdefghijk")
    assert all(math.isnan(found[name]) for name in ("cmap", "auroc", "micro_ap", "ap/b"))
    assert not math.isnan(multilabel_scores(scores[:, 2:], target[:, 2:])["cmap"])


def test_shapes_and_names_must_fit():
    scores, target = case(1)
    with pytest.raises(ValueError, match=r"\(60, 11\), \(60, 10\) and \(60,\)"):
        CMAP().update(scores, target[:, 1:], torch.arange(60))
    with pytest.raises(ValueError, match="3 names for 11 classes"):
        multilabel_scores(scores, target, "abc")


@pytest.mark.parametrize("levels", [None, 1])
def test_errors_of_clips_equal_scikit_learn(levels):
    scores, target = case(10, levels=levels)
    errors = ranking_errors(scores, target)
    some = target.any(1)
    assert 0 < some.sum() < 60
    for i in range(60):
        if some[i]:
            lrap = label_ranking_average_precision_score(target[i : i + 1], scores[i : i + 1])
            assert errors[i].item() == pytest.approx(1 - lrap, abs=1e-12)
        else:
            assert errors[i].item() == pytest.approx(scores[i].max().sigmoid().item(), rel=1e-6)


def test_mean_of_clips_drops_repeats():
    metric = ClipMean()
    metric.update(torch.tensor([1.0, 5.0]), torch.tensor([3, 0]))
    metric.update(torch.tensor([9.0, 3.0]), torch.tensor([3, 1]))
    assert metric.compute() == 3


def test_the_peak_of_memory_is_below_twice_the_scores():
    rng = np.random.default_rng(0)
    metric = MultilabelMetrics()
    for first in range(0, 40_000, 500):
        scores = torch.from_numpy(rng.standard_normal((500, 81), dtype=np.float32))
        metric.update(scores, scores > 2.5, torch.arange(first, first + 500))
    tracemalloc.start()
    metric.compute()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000 * 81 * 4


@pytest.mark.slow  # one process with repeated clips takes the same way
def test_two_processes_give_the_figures_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = Path(__file__).resolve().parents[3]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, multilabel_processes.__file__, str(tmp_path / f"{rank}.pt")],
            env={**os.environ, **common, "RANK": str(rank), "PYTHONPATH": str(root)},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    scores, target = multilabel_processes.clips()
    one = multilabel_scores(scores, target)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert {name: found[name] for name in one} == pytest.approx(one, rel=1e-6)
        assert found["mean"] == pytest.approx(scores.mean().item(), rel=1e-5)
        assert found["separate"] == pytest.approx(one["cmap"], rel=1e-6)
