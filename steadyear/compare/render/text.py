"""Numbers and tables as text, for the terminal and for the page."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from steadyear.compare.load.cells import Cell, in_decibels
from steadyear.compare.scores.tasks import TaskReport
from steadyear.compare.statistics.spread import Scores, Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

MISSING = "—"
WIDTH = 100


def show(spread: Spread | None, digits: int = 3) -> str:
    """Write mean±std; the mean alone for one seed, a dash for nothing.

    Args:
        spread: Values per seed.
        digits: Digits after the decimal point.

    Returns:
        The text.
    """
    if spread is None or not spread.n or not math.isfinite(spread.mean):
        return MISSING
    mean = f"{spread.mean:.{digits}f}"
    return mean if spread.n == 1 else f"{mean}±{spread.std:.{digits}f}"


def show_range(scores: Scores[Spread] | None) -> str:
    """Write lowest..highest prediction over all seeds, clips and targets.

    Args:
        scores: Scores of one condition.

    Returns:
        The text; a dash for nothing.
    """
    if scores is None:
        return MISSING
    lowest = min(scores.metrics["lowest"].values.values())
    highest = max(scores.metrics["highest"].values.values())
    if not math.isfinite(lowest + highest):
        return MISSING
    return f"{lowest:.1f}..{highest:.1f}"


def overview(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The table with one row per system.

    Args:
        summary: The comparison.

    Returns:
        Header and rows; the columns ``attacked`` belong to the headline attack.
    """
    task = summary.task
    scores = [column.head for column in task.columns] + ["range"] * task.has_range
    header = ["system", "seeds", *scores, "gradient queries", "fit [s]"]
    return header, [_overview_row(each, summary) for each in summary.systems]


def _overview_row(system: SystemSummary, summary: Summary) -> list[str]:
    attacked = system.attacked.get(summary.headline)
    metrics = attacked.metrics if attacked else {}
    scores = [
        show((metrics if column.attacked else system.clean.metrics).get(column.key), column.digits)
        for column in summary.task.columns
    ]
    if summary.task.has_range:
        scores.append(show_range(attacked))
    return [
        system.label,
        str(len(system.group.seeds)),
        *scores,
        show(metrics.get("gradient_queries"), 0).removesuffix("±0"),
        show(system.fit_seconds, 0),
    ]


def overview_caption(summary: Summary) -> str:
    """Say what the columns of :func:`overview` mean.

    Args:
        summary: The comparison.

    Returns:
        The caption.
    """
    return (
        f"{summary.task.glossary}; attacked = under {summary.headline.label}; "
        f"{summary.task.loss_glossary}; gradient queries = per clip; fit = training time. "
        f"{spread_caption(summary)}"
    )


def spread_caption(summary: Summary) -> str:
    """Say what ± means, where there is one.

    Args:
        summary: The comparison.

    Returns:
        The sentence.
    """
    if all(len(system.group.seeds) == 1 for system in summary.systems):
        return "One seed per system: no spread can be given."
    return "Mean±population standard deviation over seeds; no ± for one seed."


def grid(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The table of the attacked score with one row per attack and budget.

    Args:
        summary: The comparison.

    Returns:
        Header and rows, the clean score first.
    """
    key = summary.task.score.key
    header = ["attack", "budget", *(system.label for system in summary.systems)]
    clean = [show(system.clean.metrics[key]) for system in summary.systems]
    rows = [["clean", MISSING, *clean]]
    for cell in summary.cells:
        scores = [system.attacked.get(cell) for system in summary.systems]
        values = [show(each.metrics[key]) if each else MISSING for each in scores]
        rows.append([cell.attack.label, amount(cell, summary.decibels), *values])
    return header, rows


def grid_caption(task: TaskReport) -> str:
    """Say what :func:`grid` shows.

    Args:
        task: What the systems do.

    Returns:
        The caption.
    """
    score = task.score.label
    return (
        f"attacked {score}; compare inside a line only, budgets of different attacks are not alike"
    )


def amount(cell: Cell, decibels: float | None) -> str:
    """Write budget and unit, with decibels where they are known.

    Args:
        cell: Attack and budget.
        decibels: What one z-unit is in dB.

    Returns:
        The text.
    """
    if decibels is None or not cell.bounded or not in_decibels(cell.attack):
        return cell.amount
    return f"{cell.amount} ({cell.budget * decibels:.2g} dB)"


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], keys: int = 1, width: int = WIDTH
) -> str:
    """Align a table; a wide one gets names of several lines, and then further blocks below.

    Args:
        header: Names of the columns.
        rows: Cells.
        keys: Number of leading columns that every block repeats.
        width: Characters per line.

    Returns:
        The lines.
    """
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if sum(widths) + len(widths) - 1 > width:
        columns = list(zip(*_stacked_header(header, rows), *rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
    blocks = []
    for chosen in _blocks(widths, keys, width):
        lines = zip(*(_align(columns[k], widths[k], left=k < keys) for k in chosen), strict=True)
        blocks.append("\n".join(" ".join(cells).rstrip() for cells in lines))
    return "\n\n".join(blocks)


def _stacked_header(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Lines of the header, with names broken where they are wider than their cells."""
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    names = []
    for name, cells in zip(header, columns, strict=True):
        widest = max(map(len, [*cells, *name.split()]), default=1)
        names.append(textwrap.wrap(name, widest, break_long_words=False) or [""])
    depth = max(map(len, names))
    return [list(line) for line in zip(*([""] * (depth - len(n)) + n for n in names), strict=True)]


def _blocks(widths: Sequence[int], keys: int, width: int) -> Iterator[list[int]]:
    fixed = sum(widths[:keys]) + keys - 1
    block: list[int] = []
    for column in range(keys, len(widths)):
        if block and fixed + sum(widths[k] + 1 for k in [*block, column]) > width:
            yield [*range(keys), *block]
            block = []
        block.append(column)
    yield [*range(keys), *block]


def _align(column: Sequence[str], width: int, *, left: bool) -> list[str]:
    return [cell.ljust(width) if left else cell.rjust(width) for cell in column]


def wrap(text: str) -> str:
    """A paragraph in lines of the terminal's width.

    Args:
        text: The paragraph.
    """
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)
