"""Files of named parts on the command line: ``--callbacks.NAME FILE``."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import islice
from pathlib import Path


def files_as_configs(arguments: list[str], keys: Collection[str]) -> list[str]:
    """Replace ``--callbacks.NAME FILE`` by a ``--config`` that says the same.

    jsonargparse reads a part from a file in a configuration only, not behind an option.

    Args:
        arguments: As on the command line.
        keys: Options that hold parts by name.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    found: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        key, dot, name = option.removeprefix("--").partition(".")
        is_part = option.startswith("--") and key in keys and dot and "." not in name
        following = list(islice(words, 1)) if is_part and not equals else []
        file = (following or [value])[0]
        if not (is_part and file.endswith((".yaml", ".yml"))):
            found += [word, *following]
            continue
        if not Path(file).is_file():
            raise FileNotFoundError(f"{option}: there is no file {file}.")
        found += ["--config", json.dumps({key: {name: file}})]
    return found
