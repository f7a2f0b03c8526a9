"""Numbers and tables as text, for the terminal and for the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from steadyear.compare.statistics import Scores, Spread
from steadyear.compare.summary import Summary, System

MISSING = "—"
WIDTH = 100
GRID_CAPTION = (
    "attacked MAE; compare inside a line only, budgets of different attacks are not alike"
)


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
        Header and rows; the columns ``att.`` belong to the headline attack.
    """
    header = ["system", "seeds", "clean r", "clean MAE", "att. r", "att. MAE", "ΔMAE"]
    header += ["range", "grads", "fit [s]"]
    return header, [_overview_row(each, summary) for each in summary.systems]


def _overview_row(system: System, summary: Summary) -> list[str]:
    attacked = system.attacked.get(summary.headline)
    metrics = attacked.metrics if attacked else {}
    return [
        system.label,
        str(len(system.group.seeds)),
        show(system.clean.metrics["pearson"], 2),
        show(system.clean.metrics["mae"]),
        show(metrics.get("pearson"), 2),
        show(metrics.get("mae")),
        show(metrics.get("delta_mae")),
        show_range(attacked),
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
        "r = Pearson's r over clips, mean over targets; MAE = mean absolute error; "
        f"att. = under {summary.headline.label}; Δ = attacked minus clean; "
        "range = lowest..highest attacked prediction of all seeds; "
        "grads = gradient queries per clip; fit = training time. "
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
    """The table of attacked MAE with one row per attack and budget.

    Args:
        summary: The comparison.

    Returns:
        Header and rows, the clean MAE first.
    """
    header = ["attack", "budget", *(system.label for system in summary.systems)]
    clean = [show(system.clean.metrics["mae"]) for system in summary.systems]
    rows = [["clean", MISSING, *clean]]
    for cell in summary.cells:
        scores = [system.attacked.get(cell) for system in summary.systems]
        values = [show(each.metrics["mae"]) if each else MISSING for each in scores]
        rows.append([cell.attack.label, cell.amount, *values])
    return header, rows


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], keys: int = 1, width: int = WIDTH
) -> str:
    """Align a table; what does not fit goes into a further block below.

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
    blocks = []
    for chosen in _blocks(widths, keys, width):
        lines = zip(*(_align(columns[k], widths[k], left=k < keys) for k in chosen), strict=True)
        blocks.append("\n".join(" ".join(cells).rstrip() for cells in lines))
    return "\n\n".join(blocks)


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
