"""Other runs whose networks help to check an evaluation: siblings, and an undefended twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from callbacks import AdversarialTraining
from steadyear.runs import CHECKPOINTS, RunFolder, finished

CONFIG = "config-fit.yaml"
MOST = 2  # siblings: each costs an attack of its own


class Relatives(NamedTuple):
    """Checkpoints of other trainings of the same network.

    Attributes:
        siblings: Of the same experiment, with other seeds.
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
    ready = [other for other in others if other != folder and _has(other, name)]
    siblings = [other for other in ready if other.parent == folder.parent]
    alike = [other for other in siblings if _same(own, _config(other))]
    twin = None
    if _defended(own):
        # With the same seed, if there is one.
        near = sorted(ready, key=lambda other: (other.name != folder.name, other))
        twin = next((other for other in near if _is_twin(own, _config(other))), None)
    paths = [str(other / CHECKPOINTS / name) for other in alike[:MOST]]
    return Relatives(paths, None if twin is None else str(twin / CHECKPOINTS / name))


def introduce(evaluation: Any, run: RunFolder, runs_dir: Path) -> None:
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


def _config(folder: Path) -> dict[str, Any] | None:
    path = folder / CONFIG
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None


def _same(one: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return other is not None and all(one.get(key) == other.get(key) for key in ("model", "data"))


def _is_twin(own: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return _same(own, other) and other is not None and not _defended(other)


def _defended(config: dict[str, Any]) -> bool:
    parts = [part for part in (config.get("callbacks") or {}).values() if part]
    name = AdversarialTraining.__name__
    return any(str(part["class_path"]).rsplit(".", 1)[-1] == name for part in parts)
