"""The demonstrations: train three systems on synthetic sound, attack them, compare them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from steadyear.compare import command
from steadyear.study.command import default_parallel, run_study
from steadyear.study.plan import read_study, study_runs

STUDIES = Path(__file__).resolve().parent / "configs" / "study"
FILES = {"music": "demo.yaml", "birds": "birds_demo.yaml"}


def main(args: Sequence[str] | None = None) -> None:
    """Run the demonstration, each time anew.

    Args:
        args: Arguments after the command's name; those of the process if ``None``.

    Raises:
        SystemExit: If a run fails.
    """
    parser = argparse.ArgumentParser(
        prog="steadyear demo",
        description="Train three systems on synthetic sound, attack them, and compare them. Music: "
        "a black box, a concept bottleneck and an adversarially trained black box, two seeds each. "
        "Birds: ordinary training, and adversarial training in output and embedding space.",
    )
    parser.add_argument("sound", nargs="?", choices=FILES, default="music", help="what is heard")
    parser.add_argument(
        "--out", type=Path, help="report folder; default: runs/demo-report, runs/demo-birds-report"
    )
    options = parser.parse_args(args)
    started = time.monotonic()
    name = "demo" if options.sound == "music" else f"demo-{options.sound}"
    runs_dir = Path(time.strftime(f"runs/{name}-%Y%m%d-%H%M%S"))
    run_study(study_runs(read_study(STUDIES / FILES[options.sound]), runs_dir), default_parallel())
    command.main([str(runs_dir), "--out", str(options.out or Path(f"runs/{name}-report"))])
    print(f"Demonstration: {time.monotonic() - started:.0f} s")
