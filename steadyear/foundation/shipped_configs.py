"""Configuration files that the package brings along, found from any working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "configs"
_SUFFIXES = (".yaml", ".yml")


def find_shipped(text: str, base: Path | None = None) -> str:
    """A path below ``configs/`` in the package, where the text names a file that only is there.

    Args:
        text: Any text; all that is no such path comes back unchanged.
        base: Folder that the path is relative to; ``None`` stands for the working directory.
    """
    path = Path(text) if text.endswith(_SUFFIXES) else None
    if path is None or path.parts[:1] != ("configs",) or ((base or Path()) / path).exists():
        return text
    shipped = FOLDER.joinpath(*path.parts[1:])
    return str(shipped) if shipped.is_file() else text


def find_shipped_in_arguments(arguments: list[str]) -> list[str]:
    """The arguments of a command with ``configs/...`` found in the package, also as ``--key=path``.

    Args:
        arguments: As on the command line.
    """
    found = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        plain = not (equals and option.startswith("--"))
        found.append(find_shipped(argument) if plain else f"{option}={find_shipped(value)}")
    return found


def with_shipped_parts(file: Path) -> str | None:
    """The content of a configuration whose parts lie in the package, with absolute paths.

    Args:
        file: A YAML file of the user.

    Returns:
        The content as YAML; ``None`` if no part has to be found in the package.
    """
    content = yaml.safe_load(file.read_text())
    changed = _map_texts(content, lambda text: find_shipped(text, file.parent))
    if changed == content:
        return None
    folder = file.parent.resolve()
    absolute = _map_texts(changed, lambda text: _absolute(text, folder))
    return str(yaml.safe_dump(absolute, sort_keys=False))


def _absolute(text: str, folder: Path) -> str:
    return str(folder / text) if text.endswith(_SUFFIXES) and (folder / text).is_file() else text


def _map_texts(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {key: _map_texts(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_map_texts(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value
