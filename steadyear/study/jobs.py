"""Running several commands side by side."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch

LOG_TAIL = 15


@dataclass(frozen=True)
class Job:
    """Commands that belong together, one after the other.

    Args:
        name: What the user reads.
        commands: Arguments of ``steadyear`` for each command.
        log: File that takes what the commands print.
    """

    name: str
    commands: Sequence[Sequence[str]]
    log: Path


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: The job.
        seconds: Wall-clock time.
        failed: The command that failed, if one did.
    """

    job: Job
    seconds: float
    failed: Sequence[str] | None


def run_jobs(jobs: Sequence[Job], parallel: int) -> Iterator[Outcome]:
    """Run jobs side by side, each with its share of the cores or a GPU of its own.

    Args:
        jobs: What to run.
        parallel: How many at once.

    Yields:
        The outcome of each job as it ends.
    """
    slots: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for environment in _environments(parallel):
        slots.put(environment)

    def run(job: Job) -> Outcome:
        environment = slots.get()
        try:
            return _run(job, environment)
        finally:
            slots.put(environment)

    with ThreadPoolExecutor(parallel) as pool:
        for future in as_completed([pool.submit(run, job) for job in jobs]):
            yield future.result()


def cores() -> int:
    """Cores that this process may use."""
    # Only Linux knows which cores a process is bound to.
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


def _environments(parallel: int) -> list[dict[str, str]]:
    threads = str(max(1, cores() // parallel))
    gpus = torch.cuda.device_count()
    return [
        os.environ
        | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        | ({"CUDA_VISIBLE_DEVICES": str(slot % gpus)} if gpus > 1 else {})
        for slot in range(parallel)
    ]


def _run(job: Job, environment: dict[str, str]) -> Outcome:
    started = time.monotonic()
    failed = None
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("w") as log:
        for command in job.commands:
            words = [sys.executable, "-m", "steadyear", *command]
            done = subprocess.run(
                words, check=False, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
            if done.returncode:
                failed = command
                break
    return Outcome(job, time.monotonic() - started, failed)


def report_failure(outcome: Outcome) -> str:
    """What the user needs to know about a failed job."""
    tail = "\n    ".join(outcome.job.log.read_text().splitlines()[-LOG_TAIL:])
    command = " ".join(outcome.failed or ())
    return f"{outcome.job.name} failed in `steadyear {command}`; {outcome.job.log} ends with\n    {tail}"
