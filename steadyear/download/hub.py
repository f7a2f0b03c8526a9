"""Files of a data set on the Hugging Face hub: which there are, and getting them, once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # lazily exported

_BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub.

    Attributes:
        path: Its path within the repository.
        size: Bytes.
        sha256: Its checksum, where the hub knows it.
    """

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class Repository:
    """A data set at one commit.

    Args:
        name: ``owner/name``.
        commit: The commit.
    """

    name: str
    commit: str

    @classmethod
    def at(cls, name: str, revision: str) -> Repository:
        """Find the commit that a branch, a tag or a commit stands for now.

        Args:
            name: ``owner/name``.
            revision: Branch, tag or commit.
        """
        return cls(name, str(HfApi().dataset_info(name, revision=revision).sha))

    def files(self, folder: str) -> list[RemoteFile]:
        """List a folder.

        Args:
            folder: Its path within the repository.
        """
        listing = HfApi().list_repo_tree(
            self.name, folder, revision=self.commit, repo_type="dataset"
        )
        return [
            RemoteFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None)
            for entry in listing
            if isinstance(entry, RepoFile)
        ]

    def fetch(self, file: RemoteFile, root: Path) -> Path:
        """Download a file, going on where an earlier attempt broke off.

        Args:
            file: What to download.
            root: Folder that takes it, under its path within the repository.

        Returns:
            Where it lies; it appears there complete and checked, or not at all.

        Raises:
            ValueError: If what arrived is not what the hub has.
        """
        target = root / file.path
        if target.is_file() and target.stat().st_size == file.size:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # The client's own download to a folder starts again from zero in a new process.
        part = target.with_name(f".{target.name}.{self.commit[:12]}.part")
        url = hf_hub_url(self.name, file.path, repo_type="dataset", revision=self.commit)
        with part.open("ab") as received:
            http_get(
                url,
                received,
                resume_size=received.tell(),
                headers=build_hf_headers(),
                expected_size=file.size,
                displayed_filename=file.path,
            )
        _check(part, file)
        part.replace(target)
        return target


def require_space(files: Sequence[RemoteFile], root: Path) -> None:
    """Refuse a download that the disk cannot take.

    Args:
        files: What is still to be downloaded.
        root: Where it goes.

    Raises:
        OSError: If there is not enough room.
    """
    needed, free = sum(file.size for file in files), free_bytes(root)
    if needed > free:
        raise OSError(
            f"The download needs {gigabytes(needed)} and {root} has {gigabytes(free)} free: make "
            "room, choose another --root, or a single --split."
        )


def free_bytes(root: Path) -> int:
    """Free room where a folder is, or will be made.

    Args:
        root: The folder.
    """
    there = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def gigabytes(size: int) -> str:
    """Write a size as people do.

    Args:
        size: Bytes.
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"


def _check(part: Path, file: RemoteFile) -> None:
    digest = hashlib.sha256()
    with part.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    wrong = part.stat().st_size != file.size
    if wrong or (file.sha256 is not None and digest.hexdigest() != file.sha256):
        part.unlink()
        raise ValueError(
            f"{file.path} arrived damaged: its checksum is not that of the hub. It was deleted; "
            "the same command fetches it again."
        )
