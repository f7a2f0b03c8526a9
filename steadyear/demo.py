"""The demonstration: train three systems on synthetic music, attack them, compare them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from steadyear.compare import command
from steadyear.study import read_study, tasks
from steadyear.study_command import default_parallel, run_study

STUDY = Path(__file__).resolve().parents[1] / "configs" / "study" / "demo.yaml"


def main(args: Sequence[str] | None = None) -> None:
    """Run the demonstration, each time anew.

    Args:
        args: Arguments after the command's name; those of the process if ``None``.

    Raises:
        SystemExit: If a run fails.
    """
    parser = argparse.ArgumentParser(
        prog="steadyear demo",
        description="Train a black box, a concept bottleneck and an adversarially trained black "
        "box on synthetic music, two seeds each, attack them, and compare them.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo-report"), help="report folder")
    options = parser.parse_args(args)
    started = time.monotonic()
    runs_dir = Path(time.strftime("runs/demo-%Y%m%d-%H%M%S"))
    run_study(tasks(read_study(STUDY), runs_dir), default_parallel())
    command.main([str(runs_dir), "--out", str(options.out)])
    print(f"Demonstration: {time.monotonic() - started:.0f} s")
