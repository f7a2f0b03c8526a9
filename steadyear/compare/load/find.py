"""Find the run folders that `steadyear test` has filled."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FACTS: Final = "run.json"
RESULTS: Final = "robustness.parquet"
CURE: Final = "run `steadyear test` first"


def find_runs(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Find run folders.

    Args:
        paths: Run folders, or parents that are searched recursively.

    Returns:
        The run folders, sorted; and one line for each folder that had to be left out.

    Raises:
        FileNotFoundError: If a path does not exist or holds no complete run.
    """
    found: dict[Path, Path] = {}
    skipped: list[str] = []
    for path in paths:
        complete, incomplete = _search(path)
        found |= {folder.resolve(): folder for folder in complete}
        skipped += incomplete
    if not found:
        raise FileNotFoundError("No run folder was given: name at least one.")
    return [found[key] for key in sorted(found)], sorted(set(skipped))


def add_runs_argument(parser: ArgumentParser) -> None:
    """Let a command take the paths of ``find_runs``, as ``runs``."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="a run folder that `steadyear test` has filled, or a parent that is searched for them",
    )


def _search(path: Path) -> tuple[list[Path], list[str]]:
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give run folders or a parent of them.")
    if problem := what_is_missing(path):
        folders = {file.parent for name in (FACTS, RESULTS) for file in path.rglob(name)} - {path}
    else:
        return [path], []
    if not folders:
        raise FileNotFoundError(f"{path} {problem}; {CURE}.")
    problems = {folder: what_is_missing(folder) for folder in sorted(folders)}
    skipped = [
        f"{folder} was left out: it {why}; {CURE}." for folder, why in problems.items() if why
    ]
    if len(skipped) == len(problems):
        raise FileNotFoundError(f"No complete run under {path}. " + " ".join(skipped))
    return [folder for folder, why in problems.items() if not why], skipped


def what_is_missing(folder: Path) -> str:
    """Say which of the two files a run folder lacks.

    Args:
        folder: The folder.

    Returns:
        Words that complete a sentence; empty for a complete run.
    """
    missing = [name for name in (FACTS, RESULTS) if not (folder / name).is_file()]
    return "holds no " + " and no ".join(missing) if missing else ""
