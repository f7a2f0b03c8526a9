"""`steadyear transfer`: make examples on every system, and test them on all others."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from steadyear.compare.load.cells import Cell
from steadyear.compare.load.find import add_runs_argument, find_runs
from steadyear.compare.load.groups import group
from steadyear.compare.load.runs import read_run
from steadyear.compare.render.text import WIDTH, format_table
from steadyear.transfer.choice import check_same_attack, check_same_scale, choose
from steadyear.transfer.craft import transfer
from steadyear.transfer.matrix import Matrix, matrix
from steadyear.transfer.report import write_report
from steadyear.transfer.restore import restore
from steadyear.transfer.tables import damage_table, share_table


def run_transfer(
    runs: Sequence[Path], out: Path, name: str | None = None, budget: float | None = None
) -> Matrix:
    """Make examples on every run, test them on all, and write what came out.

    Args:
        runs: Run folders, or parents that are searched recursively.
        out: Folder to write.
        name: Configured name of the attack; ``None`` takes the strongest that follows a gradient.
        budget: Its budget; ``None`` takes the largest of the runs' tests.

    Returns:
        The matrix.

    Raises:
        FileNotFoundError: If there is no tested run, or a configuration or checkpoint is gone.
        ValueError: If there are fewer than two runs, or they do not share clips, scale and attack.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder with --out.")
    folders, skipped = find_runs(runs)
    groups = group([read_run(folder) for folder in folders])
    tested = [run for each in groups for run in each.runs]
    if len(tested) < 2:
        raise ValueError(f"{folders[0]} is the only run: transfer needs two systems or two seeds.")
    cell = choose(tested, name, budget)
    print(f"{len(tested)} runs, examples by {cell.label}", flush=True)
    systems = [restore(each.label, run) for each in groups for run in each.runs]
    check_same_attack(systems, cell)
    check_same_scale(systems, cell)
    frame = transfer(systems, cell)
    found = matrix(frame)
    write_report(frame, found, cell, out, skipped)
    print(f"\n{terminal_text(found, cell, skipped)}")
    return found


def terminal_text(found: Matrix, cell: Cell, skipped: Sequence[str] = ()) -> str:
    """Write the tables that the terminal shows.

    Args:
        found: The matrix.
        cell: Attack and budget.
        skipped: Runs that were left out, in words.
    """
    parts = []
    for table in (damage_table(found), share_table(found)):
        parts += [f"{table.title} under {cell.label}", format_table(table.header, table.rows)]
        parts += [textwrap.fill(table.caption, WIDTH, break_on_hyphens=False)]
    parts += [textwrap.fill(f"Warning: {line}", WIDTH) for line in skipped]
    return "\n\n".join(parts)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command with the arguments after its name, or with those of the process."""
    parser = argparse.ArgumentParser(
        prog="steadyear transfer",
        description="Make adversarial examples on every tested run, and test them on all the "
        "others: between systems, and between the seeds of one system. Noise of the same budget is "
        "the control. All networks are held in memory; results do not depend on batch sizes.",
    )
    add_runs_argument(parser)
    parser.add_argument(
        "--attack",
        help="name of the attack in the runs' configuration (default: of those that follow a "
        "gradient within a budget, the strongest)",
    )
    parser.add_argument(
        "--budget",
        type=float,
        help="its budget (default: the largest that all runs were tested at)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("transfer"), help="folder to write (default: %(default)s)"
    )
    options = parser.parse_args(args)
    run_transfer(options.runs, options.out, options.attack, options.budget)
    print(f"\nReport: {options.out / 'index.html'}")
