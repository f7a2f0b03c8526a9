"""Files that appear whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to; what was written replaces ``path`` when the block ends without an error.

    The partial file lies beside ``path``, because only within one file system is a rename atomic.

    Args:
        path: The file to create or replace; its folder is made where it is missing.

    Yields:
        The path of the partial file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Args:
        path: The file to create or replace.
        text: Its whole content.
    """
    with atomic_path(path) as partial:
        partial.write_text(text)
