"""Paths as they are written in configuration files."""

from __future__ import annotations

import os
import re
from pathlib import Path


def expand_path(text: str | os.PathLike[str]) -> Path:
    """Expand ``~`` and environment variables in a path.

    Args:
        text: A path such as ``${STEADYEAR_DATA}/emotify/audio``.

    Raises:
        ValueError: If an environment variable in it is not set.
    """
    expanded = os.path.expandvars(os.fspath(text))
    unset = re.search(r"\$\{?(\w+)\}?", expanded)
    if unset:
        name = unset.group(1)
        raise ValueError(
            f"The path {os.fspath(text)!r} uses the environment variable {name}, which is not set; "
            f"set {name} or write the folder itself."
        )
    return Path(expanded).expanduser()


def default_cache_dir() -> Path:
    """Return the folder of caches: ``STEADYEAR_CACHE``, else ``.cache/steadyear`` here."""
    return Path(os.environ.get("STEADYEAR_CACHE") or ".cache/steadyear").expanduser()
