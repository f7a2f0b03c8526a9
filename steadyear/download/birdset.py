"""`steadyear data birdset`: fetch a data set of BirdSet."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

from steadyear.datamodules.datasets.birdset.archive import unpack
from steadyear.datamodules.datasets.birdset.layout import PRETRAINING, SHARDS
from steadyear.download.hub import RemoteFile, Repository, free_bytes, gigabytes, require_space

REPOSITORY = "DBD-research-group/BirdSet"
BRANCH = "data"
NOISE = "dcase18"
"""Recordings without birds, which BirdSet mixes into training clips."""

SPLITS = ("train", "test", "test_5s")
_RECORD = "birdset_revision.json"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        args: Arguments after ``data birdset``; those of the process if ``None``.
    """
    options = _parser().parse_args(args)
    root = options.root.expanduser()
    repository = Repository.at(REPOSITORY, options.revision or _recorded(root) or BRANCH)
    files = wanted(repository.files(options.name), options.split or SPLITS)
    if not files:
        raise ValueError(f"The revision {repository.commit} of BirdSet has no files for this.")
    missing = [file for file in files if not _there(file, root)]
    print(
        f"{options.name} at revision {repository.commit[:12]}: {len(files)} files, "
        f"{gigabytes(sum(file.size for file in files))}; still to be fetched "
        f"{gigabytes(sum(file.size for file in missing))}, free {gigabytes(free_bytes(root))}.",
        flush=True,
    )
    require_space(missing, root)
    _remember(root, repository)
    for file in missing:
        repository.fetch(file, root)
    if options.name == NOISE:
        # Augmentation reads files; no data module would unpack them.
        folder = root / NOISE
        unpack(sorted(folder.glob("*.tar.gz")), folder / "unpacked")
    print(f"{options.name} is complete in {root / options.name}")


def wanted(files: Sequence[RemoteFile], splits: Sequence[str]) -> list[RemoteFile]:
    """Choose the tables and archives of some splits.

    Args:
        files: All files of a data set.
        splits: The splits; data sets without splits are taken as a whole.
    """
    chosen = []
    for file in files:
        name = file.path.rsplit("/", 1)[-1]
        found = re.search(r"_(train|test_5s|test5s|test)(_shard_\d+\.tar\.gz|\.parquet)$", name)
        split = found[1].replace("test5s", "test_5s") if found else None
        if split in splits or (split is None and name.endswith((".parquet", ".tar.gz", ".json"))):
            chosen.append(file)
    return chosen


def _there(file: RemoteFile, root: Path) -> bool:
    path = root / file.path
    return path.is_file() and path.stat().st_size == file.size


def _recorded(root: Path) -> str | None:
    # The first download decides: labels were re-mapped between revisions, which must not mix.
    path = root / _RECORD
    return str(json.loads(path.read_text())["commit"]) if path.is_file() else None


def _remember(root: Path, repository: Repository) -> None:
    known = _recorded(root)
    if known not in (None, repository.commit):
        raise ValueError(
            f"{root} holds revision {known} of BirdSet, and {repository.commit} is asked for: "
            "choose another --root, or leave --revision out."
        )
    root.mkdir(parents=True, exist_ok=True)
    record = {"repository": repository.name, "commit": repository.commit}
    (root / _RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="steadyear data birdset",
        description="Fetch a data set of BirdSet (CC BY-NC 4.0) from the Hugging Face hub. What is "
        "there already is not fetched again; an interrupted download goes on where it was.",
    )
    parser.add_argument("name", choices=[*SHARDS, NOISE], help="the data set")
    parser.add_argument(
        "--split",
        nargs="+",
        choices=SPLITS,
        help=f"only these splits; {' and '.join(PRETRAINING)} have none",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of all BirdSet data sets")
    parser.add_argument(
        "--revision",
        help=f"commit, tag or branch; default: the one of earlier downloads, else {BRANCH}",
    )
    return parser
