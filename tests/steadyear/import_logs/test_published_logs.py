"""The released logs of the music-emotion study, imported and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steadyear.__main__ import main
from steadyear.compare import Summary, compare
from steadyear.compare.command import terminal_text
from steadyear.compare.render.text import show, show_range


@pytest.fixture(scope="module")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("published")
    main(["import-logs", str(shared_data / "mer_logs"), "--out", str(root / "runs")])
    return root, compare([root / "runs"], root / "report")


def test_the_table_has_the_published_numbers(published: tuple[Path, Summary]) -> None:
    wanted = {
        # Mean correlation: Pearson's r over the 36 clips of each emotion, mean over emotions, then
        # mean and population standard deviation over ten seeds. Per clip over the emotions, it
        # would be 0.77 and 0.71.
        "a2e": ("0.73±0.02", "0.096", "0.10±0.01", "1.786", "1.690±0.316", "-11.5..9.9"),
        "a2m2e": ("0.68±0.02", "0.110", "0.11±0.01", "1.158", "1.047±0.214", "-4.8..5.3"),
    }
    _, summary = published
    for system in summary.systems:
        clean, attacked = system.clean.metrics, system.attacked[summary.headline]
        found = (
            show(clean["pearson"], 2),
            f"{clean['mae'].mean:.3f}",
            show(clean["mae"], 2),
            f"{attacked.metrics['mae'].mean:.3f}",
            show(attacked.metrics["delta_mae"]),
            show_range(attacked),
        )
        assert found == wanted.pop(system.label)
        assert len(system.group.seeds) == 10
    assert not wanted


def test_the_tests_have_the_published_numbers(published: tuple[Path, Summary]) -> None:
    pair = published[1].comparisons[0]
    assert (pair.label, pair.measure) == ("a2e - a2m2e", "attacked MAE")
    assert f"{pair.pooled.statistic:.2f} {pair.pooled.p:.1e}" == "13.04 4.6e-32"
    assert pair.pooled.pairs == 360
    # On seed means it is the paired t-test, p = 0.0026, that rounds to the published 0.003;
    # Welch's gives 0.0002, Wilcoxon's 0.010.
    assert pair.seed.paired
    assert f"{pair.seed.difference:+.2f} {pair.seed.p:.3f}" == "+0.63 0.003"
    # Half a unit of the last printed digit, and 0.003 for the resampling.
    assert pair.seed.over_seeds == pytest.approx((0.34, 0.90), abs=0.008)
    low, high = pair.seed.over_both
    assert low < pair.seed.over_seeds[0] < pair.seed.over_seeds[1] < high


def test_the_quoted_interval_and_what_is_behind_it_stay_the_same(
    published: tuple[Path, Summary],
) -> None:
    # As the README quotes it: +0.63 [0.34, 0.90], p = 0.003; here to the digits of the seeded draws.
    seed = published[1].comparisons[0].seed
    assert (
        "{:+.2f} [{:.2f}, {:.2f}]".format(seed.difference, *seed.over_seeds) == "+0.63 [0.34, 0.90]"
    )
    assert seed.difference == pytest.approx(0.62835466, rel=1e-7)
    assert seed.over_seeds == pytest.approx((0.33755150, 0.89916216), rel=1e-6)
    assert seed.over_both == pytest.approx((0.31282753, 0.94757017), rel=1e-6)
    assert (seed.statistic, seed.p) == pytest.approx((4.1304163, 0.0025579001), rel=1e-6)
    assert seed.cohen_d == pytest.approx(2.2007104, rel=1e-6)


def test_the_attack_is_shown_as_unbounded(published: tuple[Path, Summary]) -> None:
    root, summary = published
    assert summary.headline.label == "as_run, unbounded (spectrogram L2)"
    text = terminal_text(summary)
    page = (root / "report" / "index.html").read_text(encoding="utf-8")
    for shown in (text, page):
        assert "unbounded" in shown
        assert "inf " not in shown
        assert "clip_eps is not a budget" in shown.replace("\n", " ")
    found = json.loads((root / "report" / "summary.json").read_text(encoding="utf-8"))
    assert (found["headline"]["budget"], found["headline"]["bounded"]) == (None, False)
    assert found["grid"][0]["budgets"] == [None]
