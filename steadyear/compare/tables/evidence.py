"""The tests of all pairs as tables: for the terminal and for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from steadyear.compare.render.pages import Table
from steadyear.compare.render.text import MISSING, format_table
from steadyear.compare.scores.tasks import TaskReport
from steadyear.compare.statistics.bootstrap import Interval
from steadyear.compare.statistics.inference import FEWEST_SEEDS
from steadyear.compare.statistics.measures import measures
from steadyear.compare.statistics.pairs import Comparison
from steadyear.compare.statistics.summary import Summary

Rows = tuple[list[str], list[list[str]]]

SEED_CAPTION: Final = (
    "Would the difference survive training again with other seeds? The unit is the seed: {} "
    "is one value. Where both systems have the same seeds they are compared "
    "seed by seed with a paired t-test, else with Welch's t-test. Intervals: 95 % percentile "
    "bootstrap, drawing seeds, or seeds and clips; with few seeds they are too narrow. p (Holm): p "
    "corrected for the number of pairs. d: Cohen's d, the difference in standard deviations of the "
    f"seed means. Below {FEWEST_SEEDS} seeds no test is made."
)
POOLED_CAPTION: Final = (
    "Do these very networks differ, clip by clip? Paired t-test and Wilcoxon's signed-rank test on "
    "all clips of the common seeds, pooled{}. Clips of one seed share a "
    "network and seeds share their clips, so these values are not independent: p says nothing about "
    "other trainings, for which it is usually far too small. p (Holm): corrected for the number of pairs. r: matched-pairs "
    "rank-biserial correlation, 1 where the left system has the larger value in every pair."
)


MOST_IN_TERMINAL: Final = 15


def terminal_tables(summary: Summary) -> list[tuple[str, str]]:
    """The tests of the attacked score, for the terminal.

    Args:
        summary: The comparison.

    Returns:
        Each table with its caption; nothing where no pair, or too many pairs, were tested.
    """
    measure, _ = measures(summary.task)
    chosen = [each for each in summary.comparisons if each.measure == measure.label]
    if not 0 < len(chosen) <= MOST_IN_TERMINAL:
        return []
    under = f"under {summary.headline.label}."
    seeds = f"Tests over seeds of {measure.label} {under} {_seed_caption(summary.task)}"
    pooled = f"Tests over pooled clips of {measure.clips} {under} {_pooled_caption(summary.task)}"
    return [
        (format_table(*seed_rows(chosen)), seeds),
        (format_table(*pooled_rows(chosen)), pooled),
    ]


def _seed_caption(task: TaskReport) -> str:
    return SEED_CAPTION.format(
        "each seed's mean over clips" if task.mean_over_clips else f"each seed's {task.score.label}"
    )


def _pooled_caption(task: TaskReport) -> str:
    return f"{POOLED_CAPTION.format(task.clips.source)} {task.clips.meaning}".rstrip()


def page_tables(summary: Summary) -> list[Table]:
    """The tests of every measure, for the page.

    Args:
        summary: The comparison.

    Returns:
        Two tables; none where there is no pair to test.
    """
    if not summary.comparisons:
        return []
    tables = []
    task, every = summary.task, summary.comparisons
    of_clips = {each.label: each.clips for each in measures(task)}
    for title, caption, names, (header, rows) in (
        ("Tests over seeds", _seed_caption(task), {}, seed_rows(every)),
        ("Tests over pooled clips", _pooled_caption(task), of_clips, pooled_rows(every)),
    ):
        labels = [names.get(each.measure, each.measure) for each in every]
        named = [[label, *row] for label, row in zip(labels, rows, strict=True)]
        caption = f"Under {summary.headline.label}. {caption}"
        tables.append(Table(title, caption, ["measure", *header], named, keys=2))
    return tables


def seed_rows(comparisons: Sequence[Comparison]) -> Rows:
    """The table of the tests whose unit is the seed.

    Args:
        comparisons: Pairs of systems.

    Returns:
        Header and rows.
    """
    header = ["A - B", "seeds", "difference", "95 % seeds", "95 % seeds+clips"]
    header += ["test", "p", "p (Holm)", "d"]
    return header, [_seed_row(each) for each in comparisons]


def _seed_row(comparison: Comparison) -> list[str]:
    test = comparison.seed
    seeds = str(test.seeds[0]) if test.paired else "/".join(map(str, test.seeds))
    return [
        comparison.label,
        seeds,
        f"{test.difference:+.3f}" if math.isfinite(test.difference) else MISSING,
        _interval(test.over_seeds),
        _interval(test.over_both),
        test.note or ("paired t" if test.paired else "Welch t"),
        show_p(test.p),
        show_p(comparison.seed_p),
        _number(test.cohen_d),
    ]


def pooled_rows(comparisons: Sequence[Comparison]) -> Rows:
    """The table of the tests on pooled clips.

    Args:
        comparisons: Pairs of systems.

    Returns:
        Header and rows.
    """
    header = ["A - B", "pairs", "t", "p", "p (Holm)", "Wilcoxon p", "p (Holm)", "r"]
    return header, [_pooled_row(each) for each in comparisons]


def _pooled_row(comparison: Comparison) -> list[str]:
    test = comparison.pooled
    return [
        comparison.label,
        str(test.pairs),
        test.note or _number(test.statistic),
        show_p(test.p),
        show_p(comparison.pooled_p),
        show_p(test.wilcoxon_p),
        show_p(comparison.wilcoxon_p),
        _number(test.rank_biserial),
    ]


def show_p(p: float | None) -> str:
    """Write a p value.

    Args:
        p: The value; ``None`` where no test was made.

    Returns:
        Three decimals from 0.001 on, else two digits and a power of ten.
    """
    if p is None:
        return MISSING
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _interval(interval: Interval | None) -> str:
    return MISSING if interval is None else "{:.3f}..{:.3f}".format(*interval)
