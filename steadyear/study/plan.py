"""A study: every system with every seed, resumable, side by side, or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from steadyear.foundation.shipped_configs import find_shipped
from steadyear.runs.folders import CHECKPOINTS, finished
from steadyear.study.jobs import Job


@dataclass(frozen=True)
class System:
    """One of the systems that a study compares.

    Attributes:
        experiment: File of the experiment.
        changes: What differs from it, as in a later ``--config``.
    """

    experiment: Path
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def flags(self) -> list[str]:
        """The flags of its configuration."""
        flags = ["--config", str(self.experiment)]
        if self.changes:
            text = yaml.safe_dump(self.changes, default_flow_style=True, sort_keys=False)
            flags += ["--config", " ".join(text.split())]
        return flags


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Attributes:
        systems: The systems by name: an experiment's file, or a mapping with ``experiment`` and
            the keys of a configuration that differ. Paths are relative to the study file.
        seeds: Seeds that every system is trained with.
        checkpoint: Which checkpoint is tested, ``best`` or ``last``.
        flags: Flags that every run gets, such as ``--trainer.max_epochs=20``.
        path: The file itself.
    """

    systems: dict[str, System]
    seeds: list[int]
    checkpoint: str = "best"
    flags: list[str] = field(default_factory=list)
    path: Path = Path()


@dataclass(frozen=True)
class StudyRun:
    """One system with one seed.

    Args:
        system: Name of the system.
        seed: Seed.
        study: The study.
        runs_dir: Folder of the study's runs.
    """

    system: str
    seed: int
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
        shared = [*self.study.systems[self.system].flags, "--runs_dir", str(self.runs_dir)]
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
    parser.add_class_arguments(Study, skip={"path", "systems"})
    try:
        content = yaml.safe_load(path.read_text()) or {}
        unknown = set(content) - {"systems", "seeds", "checkpoint", "flags"}
        if unknown:
            raise ValueError(f"it has no key {', '.join(sorted(map(str, unknown)))}")
        described = content.pop("systems", None) or {}
        values = parser.parse_object(content)
    except (ArgumentError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is no study: {error}") from error
    if not isinstance(described, dict):
        raise ValueError(  # noqa: TRY004 - the content of a file, not an argument
            f"{path} is no study: systems is a mapping of names to experiments."
        )
    systems = {str(name): _system(path, str(name), system) for name, system in described.items()}
    study = Study(systems=systems, path=path, **values.as_dict())
    if study.checkpoint not in ("best", "last") or not study.systems or not study.seeds:
        raise ValueError(f"{path} needs systems, seeds, and checkpoint: best or last.")
    return study


def _system(study: Path, name: str, described: Any) -> System:
    changes = {"experiment": described} if isinstance(described, str) else described
    if not isinstance(changes, dict) or not isinstance(changes.get("experiment"), str):
        raise ValueError(  # noqa: TRY004 - the content of a file, not an argument
            f"{study} is no study: the system {name} is an experiment's file, or a mapping with "
            f"`experiment` and what differs from it, not {described!r}."
        )
    resolved = _resolved(study, name, changes)
    return System(Path(resolved.pop("experiment")), resolved)


def _resolved(study: Path, name: str, value: Any) -> Any:
    """A part of a system with the files that it names found from the study's folder."""
    if isinstance(value, dict):
        return {key: _resolved(study, name, inner) for key, inner in value.items()}
    if not (isinstance(value, str) and value.endswith((".yaml", ".yml"))):
        return value
    file = (study.parent / find_shipped(value, study.parent)).resolve()
    if not file.is_file():
        raise FileNotFoundError(f"{study} names {value} for {name}, which does not exist.")
    return str(file)


def study_runs(
    study: Study, runs_dir: Path, systems: Sequence[str] = (), seeds: Sequence[int] = ()
) -> list[StudyRun]:
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
        StudyRun(system, seed, study, runs_dir)
        for system in study.systems
        for seed in study.seeds
        if (not systems or system in systems) and (not seeds or seed in seeds)
    ]
