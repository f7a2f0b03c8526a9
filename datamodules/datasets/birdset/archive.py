"""Unpacking archives of recordings once, and finding recordings by their names."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

AUDIO = frozenset({".ogg", ".flac", ".wav", ".mp3"})


def unpack_folder(folder: Path, cache_dir: Path) -> Path:
    """Return where the archives of a folder are unpacked.

    That is ``unpacked`` beside them, or a folder in the cache if theirs cannot be written to.

    Args:
        folder: Folder of the archives.
        cache_dir: Folder of all caches.
    """
    beside = folder / "unpacked"
    holder = beside if beside.is_dir() else folder
    # Root may write everywhere, but a folder without permission to write is not meant to change.
    if os.access(holder, os.W_OK) and holder.stat().st_mode & 0o222:
        return beside
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return cache_dir / "unpacked" / f"{folder.name}-{key}"


def unpack(shards: Iterable[Path], target: Path) -> None:
    """Unpack archives, each into a folder of its own name.

    A folder appears when its archive is unpacked completely, so that an interrupted call is
    repeated for the last archive only, and several processes may do the same at once. An archive
    that is larger or smaller than when it was unpacked is unpacked again.

    Args:
        shards: Archives ``NAME.tar.gz`` of recordings; folders within them do not matter.
        target: Folder for the folders.

    Raises:
        ValueError: If an archive is damaged.
    """
    waiting = [shard for shard in shards if not _destination(shard, target).is_dir()]
    for shard in tqdm(waiting, "unpacking", disable=None, leave=False):
        _unpack_one(shard, _destination(shard, target))


def _destination(shard: Path, target: Path) -> Path:
    return target / f"{shard.name.removesuffix('.tar.gz')}-{shard.stat().st_size}"


def _unpack_one(shard: Path, destination: Path) -> None:
    # Folders whose name starts with a point are never searched for recordings.
    temporary = destination.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.mkdir(parents=True)
    try:
        _extract(shard, temporary)
        temporary.rename(destination)
    except OSError:
        if not destination.is_dir():  # otherwise another process was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract(shard: Path, folder: Path) -> None:
    try:
        with tarfile.open(shard, "r|gz") as archive:
            for member in archive:
                name = Path(member.name).name
                content = archive.extractfile(member) if is_recording(name) else None
                if content is not None:  # a regular file
                    with content, (folder / name).open("wb") as file:
                        shutil.copyfileobj(content, file, 1 << 20)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(
            f"The archive {shard} is damaged ({error}); delete it and download it again."
        ) from error


def is_recording(name: str) -> bool:
    """Tell recordings from other files, and from the hidden files of some archivers.

    Args:
        name: Name of a file.
    """
    return not name.startswith(".") and Path(name).suffix.lower() in AUDIO


def find_recordings(folders: Iterable[Path], wanted: set[str]) -> dict[str, Path]:
    """Search folders and all folders in them for recordings.

    Args:
        folders: Where to search; of several files of one name the first counts.
        wanted: Names of the files.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path, inner, files in os.walk(folder):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in wanted.intersection(files):
                found.setdefault(name, Path(path, name))
    return found
