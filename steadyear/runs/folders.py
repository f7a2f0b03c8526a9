"""Folders of runs: ``<runs_dir>/<experiment>/<run>/``."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

CHECKPOINTS = "checkpoints"
_LIGHTNINGS_OWN = ("hpc", "registry")


@dataclass(frozen=True)
class Request:
    """What the user said about the run.

    Args:
        stage: ``fit``, ``validate``, ``test`` or ``predict``.
        runs_dir: Folder of all runs.
        experiment: Name of the experiment, with slashes.
        run: Name of the run, if given.
        checkpoint: ``best``, ``last`` or a path, if given.
        seed: Seed of the run.
        claim: Whether to make the folder of a new run, so that no other process takes its name.
        own_weights: Whether the model brings weights of its own, from a published checkpoint.
    """

    stage: str
    runs_dir: Path
    experiment: str
    run: str | None
    checkpoint: str | None
    seed: int
    claim: bool = False
    own_weights: bool = False

    @property
    def home(self) -> Path:
        """Folder of the experiment's runs."""
        return self.runs_dir / self.experiment


@dataclass(frozen=True)
class RunFolder:
    """Where a run lives, and the checkpoint that it starts from.

    Attributes:
        path: The folder.
        checkpoint: Path of the checkpoint, or ``None`` to start anew.
    """

    path: Path
    checkpoint: str | None


def locate(request: Request) -> RunFolder:
    """Find or name the folder of a run, and its checkpoint.

    ``fit`` gets a new folder unless it resumes from a checkpoint of the same experiment. The other
    stages continue in the folder of the checkpoint, if it is of their experiment; without one they
    take the best of the named run, or of the experiment's newest. A model that brings weights of its
    own, and was never trained in this experiment, is tested as it is, in a new folder.

    Raises:
        FileNotFoundError: If there is no such run or checkpoint.
        FileExistsError: If a new run is given the name of an old one.
    """
    given = request.checkpoint
    if given is None and request.stage == "fit":
        folder = _new(request)
        # A run that was killed before its first epoch ended has nothing to lose.
        if (folder / CHECKPOINTS / "last.ckpt").exists() or finished(folder):
            raise FileExistsError(
                f"The run {folder} exists. Go on with it by --ckpt_path last, or choose another "
                "--run name."
            )
        return RunFolder(folder, None)
    if given is None and request.own_weights and not _trained(request):
        return RunFolder(_new(request), None)
    if given in (None, "best", "last"):
        folder = request.home / request.run if request.run else _newest(request)
        return RunFolder(folder, str(_checkpoint(folder, given or "best")))
    assert given is not None
    if given.split(":")[0] in _LIGHTNINGS_OWN:
        return RunFolder(_new(request), given)
    path = Path(given)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    folder = path.resolve().parent.parent
    if request.run is None and folder.parent == request.home.resolve():
        return RunFolder(path.parent.parent, str(path))
    return RunFolder(_new(request), str(path))


def finished(folder: Path) -> bool:
    """Whether the training of a run came to its end."""
    record = folder / "run.json"
    return record.is_file() and bool(json.loads(record.read_text()).get("fit_finished"))


def _new(request: Request) -> Path:
    if request.run:
        return request.home / request.run
    for number in itertools.count(1):
        path = request.home / (f"seed{request.seed}" + (f"-{number}" if number > 1 else ""))
        if not request.claim and not path.exists():
            return path
        if request.claim:
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
    raise AssertionError  # itertools.count never ends


def _trained(request: Request) -> list[Path]:
    return [p.parent for p in request.home.glob(f"{request.run or '*'}/{CHECKPOINTS}")]


def _newest(request: Request) -> Path:
    folders = _trained(request)
    if not folders:
        raise FileNotFoundError(
            f"No run of {request.experiment} with a checkpoint in {request.home}. Train one with "
            "`steadyear fit`, or name a checkpoint with --ckpt_path."
        )
    return max(folders, key=lambda folder: (folder / CHECKPOINTS).stat().st_mtime)


def _checkpoint(folder: Path, kind: str) -> Path:
    path = folder / CHECKPOINTS / f"{kind}.ckpt"
    if not path.is_file():
        known = sorted(p.name for p in (folder / CHECKPOINTS).glob("*.ckpt"))
        raise FileNotFoundError(
            f"There is no checkpoint {path}; the run has {', '.join(known) or 'none'}. Name one "
            "with --ckpt_path."
        )
    return path
