from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from steadyear.compare import compare
from steadyear.compare.statistics.bootstrap import seed_and_clip_interval, seed_interval
from steadyear.compare.statistics.effects import cohen_d, rank_biserial
from steadyear.compare.statistics.inference import holm, pooled_test, seed_test
from tests.steadyear.compare_runs import write_run

GRID = [("pgd", 0.1)]
# A 2.5 % quantile of 10 000 resamples is off by about 3 % of the interval's width.
RESAMPLING = 0.05


def errors(seeds: int, clips: int = 20, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng([seed, seeds])
    return draw.normal(size=(seeds, clips)) + draw.normal(size=(seeds, 1)) + seed


def near(found: tuple[float, float], wanted: tuple[float, float]) -> None:
    assert found == pytest.approx(wanted, abs=RESAMPLING * (wanted[1] - wanted[0]))


def test_systems_of_the_same_seeds_are_paired() -> None:
    left, right = errors(6, seed=1), errors(6)
    found = seed_test(left, right, paired=True)
    wanted = stats.ttest_rel(left.mean(1), right.mean(1))
    assert (found.statistic, found.p) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert found.difference == pytest.approx(left.mean() - right.mean())
    assert found.note == ""


def test_systems_of_other_seeds_are_compared_by_welch() -> None:
    left, right = errors(6, seed=1), errors(4)
    found = seed_test(left, right, paired=False)
    wanted = stats.ttest_ind(left.mean(1), right.mean(1), equal_var=False)
    assert (found.statistic, found.p) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert found.seeds == (6, 4)


@pytest.mark.parametrize(
    ("left", "right", "note"),
    [
        (errors(2), errors(2, seed=1), "too few seeds"),
        (errors(9), errors(2, seed=1), "too few seeds"),
        (errors(5), errors(5), "no variation"),
        (errors(5), errors(5) + 0.1, "no variation"),
        (errors(5), errors(5) * np.nan, "not finite"),
    ],
)
def test_where_no_test_over_seeds_can_be_made(
    left: np.ndarray, right: np.ndarray, note: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = seed_test(left, right, paired=len(left) == len(right))
    assert found.note == note
    assert (found.statistic, found.p, found.over_seeds, found.over_both, found.cohen_d) == (
        None,
    ) * 5


def test_pooled_clips_agree_with_scipy() -> None:
    left, right = errors(3, seed=1), errors(3)
    found = pooled_test(left, right)
    wanted = stats.ttest_rel(left.ravel(), right.ravel())
    assert (found.statistic, found.p) == pytest.approx((wanted.statistic, wanted.pvalue))
    signed = stats.wilcoxon(left.ravel(), right.ravel())
    assert found.wilcoxon_p == pytest.approx(signed.pvalue)
    assert found.pairs == 60


def test_where_no_pooled_test_can_be_made() -> None:
    assert pooled_test(np.empty((0, 0)), np.empty((0, 0))).note == "no common seed"
    assert pooled_test(errors(2), errors(2)).note == "no variation"
    assert pooled_test(errors(2), errors(2) + np.inf).note == "not finite"


def test_seeds_are_drawn_as_scipy_draws_them() -> None:
    left, right = errors(8, seed=1).mean(1), errors(8).mean(1)

    def draw(*arguments):
        generator = np.random.default_rng(7)  # scipy 1.14 does not know it as rng
        options = {"method": "percentile", "n_resamples": 20_000, "random_state": generator}
        return stats.bootstrap(*arguments, **options).confidence_interval

    near(seed_interval(left, right, paired=True), draw((left - right,), np.mean))

    def difference(one, other, axis):
        return one.mean(axis=axis) - other.mean(axis=axis)

    near(seed_interval(left, right[:5], paired=False), draw((left, right[:5]), difference))


def test_seeds_and_clips_are_drawn_independently_of_each_other() -> None:
    draw = np.random.default_rng(3)
    by_seed, by_clip = draw.normal(size=(7, 1)), draw.normal(size=(1, 30))
    zeros = np.zeros((7, 30))
    over_seeds = seed_interval(by_seed[:, 0], np.zeros(7), paired=True)
    near(seed_and_clip_interval(by_seed + zeros, zeros, paired=True), over_seeds)
    # Without differences between seeds, only the draw of the clips is left.
    over_clips = seed_interval(by_clip[0], np.zeros(30), paired=True)
    near(seed_and_clip_interval(by_clip + zeros, zeros, paired=True), over_clips)
    # A sum of both effects has the sum of both variances.
    both = seed_and_clip_interval(by_seed + by_clip + zeros, zeros, paired=True)
    widths = [high - low for low, high in (over_seeds, over_clips, both)]
    assert widths[2] == pytest.approx(np.hypot(widths[0], widths[1]), rel=0.1)


def test_clips_that_are_hard_for_both_systems_do_not_widen_the_interval() -> None:
    hard = 100 * np.random.default_rng(0).normal(size=(1, 20))
    left, right = errors(5, seed=1), errors(5)
    plain = seed_and_clip_interval(left, right, paired=True)
    assert seed_and_clip_interval(left + hard, right + hard, paired=True) == pytest.approx(plain)


def test_holm_by_hand() -> None:
    # Sorted: 0.01 * 4, 0.02 * 3, 0.022 * 2 (raised to the one before), 0.9 * 1.
    assert holm([0.02, None, 0.9, 0.01, 0.022]) == pytest.approx([0.06, None, 0.9, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_effect_sizes_by_hand() -> None:
    # Variances 1 and 4 with 3 values each: pooled standard deviation sqrt(2.5).
    left, right = np.array([4.0, 5.0, 6.0]), np.array([0.0, 2.0, 4.0])
    assert cohen_d(left, right) == pytest.approx(3 / np.sqrt(2.5))
    assert cohen_d(np.ones(3), np.zeros(3)) is None
    # Ranks of 1, -2, 3: (1 + 3 - 2) / 6; the zero does not count.
    assert rank_biserial(np.array([1.0, -2.0, 0.0, 3.0])) == pytest.approx(1 / 3)
    assert rank_biserial(np.array([0.5, 0.1])) == 1


def test_pairs_use_the_seeds_that_both_systems_have(tmp_path: Path) -> None:
    for system, seeds in {"a": (0, 1, 2), "b": (0, 1, 2), "c": (1, 2, 3, 4), "d": (9,)}.items():
        for seed in seeds:
            write_run(tmp_path / "runs", system, seed, clips=6, grid=GRID)
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    attacked = {each.label: each for each in summary.comparisons if each.measure != "ΔMAE"}
    assert len(attacked) == 6
    assert attacked["a - b"].seed.paired
    assert not attacked["a - c"].seed.paired
    assert attacked["a - c"].pooled.pairs == 2 * 6
    assert attacked["a - d"].seed.note == "too few seeds"
    assert attacked["a - d"].pooled.note == "no common seed"
    made = [each for each in attacked.values() if each.seed.p is not None]
    assert [each.seed_p for each in made] == holm([each.seed.p for each in made])
    assert len(made) == 3
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "too few seeds" in page
    assert "Would the difference survive training again" in page
    assert "no test over seeds is made" not in page
