"""`steadyear study`: run a study, or write it down for a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from steadyear.study.jobs import Outcome, cores, report_failure, run_jobs
from steadyear.study.plan import Study, StudyRun, read_study, study_runs


def main(args: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        args: Arguments after the command's name; those of the process if ``None``.

    Raises:
        SystemExit: If a run fails; the others are finished first.
    """
    options = _parser().parse_args(args)
    study = read_study(options.study)
    runs_dir = options.runs_dir or Path("runs/study") / options.study.stem
    chosen = study_runs(study, runs_dir, options.system, options.seed)
    if options.task is not None:
        if not 0 <= options.task < len(chosen):
            raise ValueError(f"There is no task {options.task}; the study has {len(chosen)}.")
        chosen = [chosen[options.task]]
    if options.slurm or options.sweep:
        for path, text in (
            (options.slurm, slurm_array(study, runs_dir, len(chosen))),
            (options.sweep, wandb_sweep(study, runs_dir)),
        ):
            if path:
                path.write_text(text)
                print(f"Wrote {path}")
        return
    run_study(chosen, options.parallel or default_parallel())


def run_study(chosen: Sequence[StudyRun], parallel: int) -> None:
    """Run what is still to be run, and name what failed.

    Args:
        chosen: Systems and seeds.
        parallel: Runs at a time.

    Raises:
        SystemExit: If a run fails; the others are finished first.
    """
    jobs = [job for job in (task.job() for task in chosen) if job is not None]
    done = len(chosen) - len(jobs)
    already = f", {done} complete already" if done else ""
    print(f"{len(chosen)} runs{already}; {parallel} at a time.", flush=True)
    if not jobs:
        return
    print(f"Logs: {jobs[0].log.parent}", flush=True)
    seconds, failed = 0.0, list[Outcome]()
    for number, outcome in enumerate(run_jobs(jobs, min(parallel, len(jobs))), 1):
        seconds += outcome.seconds
        state = "FAILED" if outcome.failed else f"{outcome.seconds:.0f} s"
        left = seconds / number * (len(jobs) - number) / min(parallel, len(jobs))
        hint = f", about {left / 60:.0f} min left" if left > 60 else ""
        print(f"[{done + number}/{len(chosen)}] {outcome.job.name}: {state}{hint}", flush=True)
        failed += [outcome] if outcome.failed else []
    if failed:
        reports = "\n".join(report_failure(outcome) for outcome in failed)
        raise SystemExit(
            f"{len(failed)} of {len(chosen)} runs failed; the same command tries them again.\n"
            f"{reports}"
        )


def default_parallel() -> int:
    """One run per GPU; without a GPU one per core."""
    return torch.cuda.device_count() or cores()


def slurm_array(study: Study, runs_dir: Path, number: int) -> str:
    """A SLURM array job with one task per run.

    Args:
        study: The study.
        runs_dir: Folder of its runs.
        number: Number of runs.
    """
    return f"""#!/bin/bash
#SBATCH --job-name={study.path.stem}
#SBATCH --array=0-{number - 1}
#SBATCH --gpus=1
#SBATCH --output={runs_dir}/slurm-%A-%a.log
srun steadyear study {study.path} --runs_dir {runs_dir} --task $SLURM_ARRAY_TASK_ID
"""


def wandb_sweep(study: Study, runs_dir: Path) -> str:
    """A W&B sweep with one run of its grid per run of the study.

    Args:
        study: The study.
        runs_dir: Folder of its runs.
    """
    command = ["${env}", "steadyear", "study", str(study.path), "--runs_dir", str(runs_dir)]
    sweep = {
        "name": study.path.stem,
        "project": "steadyear",
        "method": "grid",
        "command": [*command, "${args}"],
        "parameters": {
            "system": {"values": list(study.systems)},
            "seed": {"values": study.seeds},
        },
    }
    return yaml.safe_dump(sweep, sort_keys=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="steadyear study",
        description="Train and test every system of a study with every seed. A study that was "
        "interrupted goes on where it was: complete runs are left alone, others resume.",
    )
    parser.add_argument("study", type=Path, help="the study file, such as configs/study/demo.yaml")
    parser.add_argument(
        "--runs_dir", type=Path, help="folder of its runs; default: runs/study/<name>"
    )
    parser.add_argument("--system", nargs="+", default=[], help="only these systems")
    parser.add_argument("--seed", nargs="+", type=int, default=[], help="only these seeds")
    parser.add_argument("--task", type=int, help="only the run of this number, counted from 0")
    parser.add_argument("--parallel", type=int, help="runs at a time; default: GPUs, else cores")
    parser.add_argument("--slurm", type=Path, help="write a SLURM array job here, run nothing")
    parser.add_argument("--sweep", type=Path, help="write a W&B sweep here, run nothing")
    return parser
