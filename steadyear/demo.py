"""The demonstration: train three systems on synthetic music, attack them, compare them."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from steadyear.compare import command
from steadyear.jobs import Job, report_failure, run_jobs

SYSTEMS = ("aa2e", "a2e", "a2m2e")  # the longest first
SEEDS = (0, 1)


def main(args: Sequence[str] | None = None) -> None:
    """Run the demonstration.

    Args:
        args: Arguments as on the command line.

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
    cores = len(os.sched_getaffinity(0))
    jobs = demo_jobs(Path(time.strftime("runs/demo-%Y%m%d-%H%M%S")))
    print(f"{len(jobs)} runs, {min(cores, len(jobs))} at a time. Logs: {jobs[0].log.parent}")
    for number, outcome in enumerate(run_jobs(jobs, min(cores, len(jobs)), cores), 1):
        if outcome.failed:
            raise SystemExit(report_failure(outcome))
        print(f"[{number}/{len(jobs)}] {outcome.job.name}: {outcome.seconds:.0f} s", flush=True)
    runs = jobs[0].log.parent
    command.main([str(runs), "--out", str(options.out)])
    print(f"Demonstration: {time.monotonic() - started:.0f} s")


def demo_jobs(runs: Path) -> list[Job]:
    """Fit and test of every system and seed.

    Args:
        runs: Folder of all runs.
    """
    return [_job(runs, system, seed) for system in SYSTEMS for seed in SEEDS]


def _job(runs: Path, system: str, seed: int) -> Job:
    configs = Path(__file__).resolve().parents[1] / "configs" / "experiment" / "demo"
    where = ["--config", str(configs / f"{system}.yaml"), "--runs_dir", str(runs)]
    run = ["--seed_everything", str(seed), "--run", f"seed{seed}"]
    quiet = ["--trainer.enable_progress_bar", "false"]
    fit = ["fit", *where, *run, *quiet]
    # The last epoch, because the best on clean clips would favour the warm-up of the adversarial
    # training over its effect.
    test = ["test", *where, *run, *quiet, "--ckpt_path", "last"]
    return Job(f"{system}, seed {seed}", [fit, test], runs / f"{system}-seed{seed}.log")
