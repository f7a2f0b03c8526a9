"""`steadyear compare`: put trained and attacked systems side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from steadyear.compare.load.find import add_runs_argument, find_runs
from steadyear.compare.load.groups import group
from steadyear.compare.load.runs import read_run
from steadyear.compare.render.section import SECTIONS
from steadyear.compare.render.text import (
    format_table,
    grid,
    grid_caption,
    overview,
    overview_caption,
    wrap,
)
from steadyear.compare.report import write_report
from steadyear.compare.statistics.summary import Summary, summarize
from steadyear.compare.tables.sanity import upper_bounds


def compare(runs: Sequence[Path], out: Path) -> Summary:
    """Compare runs, and write `summary.json`, figures and `index.html`.

    Args:
        runs: Run folders, or parents that are searched recursively.
        out: Folder to write; made where it does not exist.

    Returns:
        The comparison.

    Raises:
        FileNotFoundError: If there is no complete run.
        ValueError: If a file is damaged, or the runs cannot be compared.
    """
    folders, skipped = find_runs(runs)
    groups = group([read_run(folder) for folder in folders])
    summary = summarize(groups, [*skipped, *upper_bounds(groups)])
    write_report(summary, out)
    return summary


def terminal_text(summary: Summary) -> str:
    """Write the tables that the terminal shows.

    Args:
        summary: The comparison.

    Returns:
        The tables with captions, and the warnings, at most 100 characters wide where labels allow.
    """
    parts = [
        f"Strongest attack: {summary.headline.label}",
        format_table(*overview(summary)),
        wrap(overview_caption(summary)),
        wrap(f"By attack and budget: {grid_caption(summary.task)}"),
        format_table(*grid(summary), keys=2),
    ]
    # What matters most stands last, beside the prompt.
    for section in reversed(SECTIONS):
        if section.applies(summary):
            parts += section.terminal(summary)
    parts += [wrap(f"Warning: {line}") for line in summary.warnings]
    return "\n\n".join(parts)


def main(args: list[str] | None = None) -> None:
    """Run the command.

    Args:
        args: Arguments after the command's name; those of the process if ``None``.

    Raises:
        SystemExit: With a message, if the runs cannot be compared.
    """
    parser = argparse.ArgumentParser(
        prog="steadyear compare",
        description="Put trained and attacked systems side by side: tables, tests, figures, one page.",
    )
    add_runs_argument(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("report"), help="folder to write (default: %(default)s)"
    )
    options = parser.parse_args(args)
    try:
        summary = compare(options.runs, options.out)
    except (ValueError, OSError) as error:
        raise SystemExit(f"steadyear compare: {error}") from error
    print(terminal_text(summary))
    print(f"\nReport: {options.out / 'index.html'}")
