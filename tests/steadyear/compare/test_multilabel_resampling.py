"""Intervals of multi-label scores: clips and seeds drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from steadyear.compare.scores.multilabel import FEWEST_DRAWS, MOST_DRAWS, clip_counts, drawn_cmap
from steadyear.compare.statistics.bootstrap import score_interval, seed_interval
from tests.steadyear.bird_comparisons import cmap


def test_cmap_is_computed_anew_on_drawn_clips() -> None:
    draw = np.random.default_rng(0)
    target = (draw.random((30, 4)) < 0.2).astype(float)
    target[:, 3] = 0
    target[1:, 2] = 0
    target[0, 2] = 1  # one clip only, which many draws miss
    logits = np.round(draw.normal(size=target.shape) + target, 1)  # with ties
    found = drawn_cmap(logits, target)
    counts = np.concatenate(clip_counts(30, MOST_DRAWS), axis=1)
    assert found.shape == (MOST_DRAWS,)
    assert (counts.sum(axis=0) == 30).all()
    for place in range(50):
        clips = np.repeat(np.arange(30), counts[:, place])
        assert found[place] == pytest.approx(cmap(target[clips], logits[clips]), abs=1e-12)


def test_large_sets_get_fewer_draws() -> None:
    target = np.zeros((20_000, 60))
    target[0] = 1
    assert len(drawn_cmap(np.zeros(target.shape), target)) == FEWEST_DRAWS


def test_no_label_in_a_draw() -> None:
    target = np.zeros((3, 1))
    target[0] = 1
    found = drawn_cmap(np.array([[1.0], [0.0], [0.0]]), target)
    assert np.isnan(found).mean() == pytest.approx((2 / 3) ** 3, abs=0.02)
    assert np.nanmin(found) == 1
    scores = found[:, None] * [1.0, 2.0, 3.0]
    assert score_interval(scores, scores, paired=True) == (0, 0)


def test_seeds_and_clips_are_drawn_independently_of_each_other() -> None:
    draw = np.random.default_rng(3)
    by_seed, by_clip = draw.normal(size=(1, 7)), draw.normal(size=(10_000, 1))
    over_seeds = seed_interval(by_seed[0], np.zeros(7), paired=True)
    zeros = np.zeros((10_000, 7))
    alone = score_interval(by_seed + zeros, zeros, paired=True)
    width = over_seeds[1] - over_seeds[0]
    assert alone == pytest.approx(over_seeds, abs=0.05 * width)
    both = score_interval(by_seed + by_clip + zeros, zeros, paired=True)
    over_clips = np.diff(np.quantile(by_clip, [0.025, 0.975]))[0]
    assert both[1] - both[0] == pytest.approx(np.hypot(width, over_clips), rel=0.1)
