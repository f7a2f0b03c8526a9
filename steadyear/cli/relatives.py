"""Other runs whose networks help to check an evaluation: siblings, and an undefended twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from steadyear.callbacks import AdversarialTraining
from steadyear.runs.folders import CHECKPOINTS, RunFolder, finished

CONFIG = "config-fit.yaml"
MOST = 2  # siblings: each costs an attack of its own
Config = dict[str, Any]


class Relatives(NamedTuple):
    """Checkpoints of other trainings of the same network.

    Attributes:
        siblings: Of the same experiment, trained alike with other seeds.
        twin: Of an experiment with the same network and data, without adversarial training; only
            for a run that has it.
    """

    siblings: list[str]
    twin: str | None


def find_relatives(folder: Path, checkpoint: str, runs_dir: Path) -> Relatives:
    """Look for finished relatives of a run.

    Args:
        folder: Folder of the run.
        checkpoint: Its checkpoint; relatives are taken with the one of the same name.
        runs_dir: Folder of all runs.
    """
    name, own = Path(checkpoint).name, _config(folder)
    if own is None:
        return Relatives([], None)
    others = [path.parent for path in sorted(runs_dir.rglob(CONFIG))]
    here = folder.resolve()
    ready = [other for other in others if other.resolve() != here and _has(other, name)]
    near = [other for other in ready if other.resolve().parent == here.parent]
    siblings = [other for other in near if _is_sibling(own, _config(other))]
    twin = None
    if _defences(own):
        # With the same seed, if there is one.
        ordered = sorted(ready, key=lambda other: (other.name != folder.name, other))
        twin = next((other for other in ordered if _is_twin(own, _config(other))), None)
    paths = [str(other / CHECKPOINTS / name) for other in siblings[:MOST]]
    return Relatives(paths, None if twin is None else str(twin / CHECKPOINTS / name))


def add_relatives(evaluation: Any, run: RunFolder, runs_dir: Path) -> None:
    """Tell a robustness evaluation with full checks which relatives its run has.

    Args:
        evaluation: Its arguments; what the user gave stays.
        run: The run and its checkpoint.
        runs_dir: Folder of all runs.
    """
    if evaluation.sanity != "full" or run.checkpoint is None:
        return
    found = find_relatives(run.path, run.checkpoint, runs_dir)
    evaluation.siblings = evaluation.siblings or found.siblings
    evaluation.twin = evaluation.twin or found.twin


def _has(folder: Path, name: str) -> bool:
    return finished(folder) and (folder / CHECKPOINTS / name).is_file()


def _config(folder: Path) -> Config | None:
    path = folder / CONFIG
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None


def _same(one: Config, other: Config) -> bool:
    return all(one.get(key) == other.get(key) for key in ("model", "data"))


def _is_sibling(own: Config, other: Config | None) -> bool:
    if other is None or not _same(own, other) or _defences(own) != _defences(other):
        return False
    return own.get("seed_everything") != other.get("seed_everything")


def _is_twin(own: Config, other: Config | None) -> bool:
    return other is not None and _same(own, other) and not _defences(other)


def _defences(config: Config) -> list[Config]:
    parts = [part for part in (config.get("callbacks") or {}).values() if part]
    name = AdversarialTraining.__name__
    return [part for part in parts if str(part["class_path"]).rsplit(".", 1)[-1] == name]
