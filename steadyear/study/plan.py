"""A study: every system with every seed, resumable, side by side, or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from steadyear.runs.folders import CHECKPOINTS, finished
from steadyear.study.jobs import Job


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Attributes:
        systems: Experiment of every system, as a path relative to the study file.
        seeds: Seeds that every system is trained with.
        checkpoint: Which checkpoint is tested, ``best`` or ``last``.
        flags: Flags that every run gets, such as ``--trainer.max_epochs=20``.
        path: The file itself.
    """

    systems: dict[str, str]
    seeds: list[int]
    checkpoint: str = "best"
    flags: list[str] = field(default_factory=list)
    path: Path = Path()


@dataclass(frozen=True)
class Task:
    """One system with one seed.

    Args:
        system: Name of the system.
        seed: Seed.
        config: Its experiment.
        study: The study.
        runs_dir: Folder of the study's runs.
    """

    system: str
    seed: int
    config: Path
    study: Study
    runs_dir: Path

    @property
    def name(self) -> str:
        """What the user reads."""
        return f"{self.system}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.runs_dir / self.system / f"seed{self.seed}"

    def job(self) -> Job | None:
        """The commands that are still to be run; ``None`` if the run is complete."""
        shared = ["--config", str(self.config), "--runs_dir", str(self.runs_dir)]
        shared += ["--experiment", self.system, "--run", self.folder.name]
        shared += ["--seed_everything", str(self.seed), *self.study.flags]
        shared += ["--trainer.enable_progress_bar", "false"]
        commands = []
        if not finished(self.folder):
            resumable = (self.folder / CHECKPOINTS / "last.ckpt").is_file()
            commands.append(["fit", *shared, *(["--ckpt_path", "last"] if resumable else [])])
        if commands or not (self.folder / "robustness.parquet").is_file():
            commands.append(["test", *shared, "--ckpt_path", self.study.checkpoint])
        if not commands:
            return None
        return Job(self.name, commands, self.runs_dir / "logs" / f"{self.system}-{self.seed}.log")


def read_study(path: Path) -> Study:
    """Read a study file.

    Args:
        path: A YAML file with ``systems``, ``seeds``, and maybe ``checkpoint`` and ``flags``.

    Raises:
        FileNotFoundError: If the file or an experiment that it names does not exist.
        ValueError: If it does not say what a study needs.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no study file {path}.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Study, skip={"path"})
    try:
        said = yaml.safe_load(path.read_text()) or {}
        unknown = set(said) - {"systems", "seeds", "checkpoint", "flags"}
        if unknown:
            raise ValueError(f"it has no key {', '.join(sorted(map(str, unknown)))}")
        values = parser.parse_object(said)
    except (ArgumentError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is no study: {error}") from error
    study = Study(**values.as_dict(), path=path)
    if study.checkpoint not in ("best", "last") or not study.systems or not study.seeds:
        raise ValueError(f"{path} needs systems, seeds, and checkpoint: best or last.")
    for system, config in study.systems.items():
        if not (path.parent / config).is_file():
            raise FileNotFoundError(f"{path} names {config} for {system}, which does not exist.")
    return study


def tasks(
    study: Study, runs_dir: Path, systems: Sequence[str] = (), seeds: Sequence[int] = ()
) -> list[Task]:
    """Every system with every seed, or the chosen ones, in the order of the file.

    Args:
        study: The study.
        runs_dir: Folder of its runs.
        systems: Systems to take; none stands for all.
        seeds: Seeds to take; none stands for all.

    Raises:
        ValueError: If the study has no such system or seed.
    """
    unknown = [str(x) for x in (*set(systems) - set(study.systems), *set(seeds) - set(study.seeds))]
    if unknown:
        raise ValueError(
            f"{study.path} has no {', '.join(unknown)}; it has the systems "
            f"{', '.join(study.systems)} and the seeds {', '.join(map(str, study.seeds))}."
        )
    return [
        Task(system, seed, (study.path.parent / config).resolve(), study, runs_dir)
        for system, config in study.systems.items()
        for seed in study.seeds
        if (not systems or system in systems) and (not seeds or seed in seeds)
    ]
