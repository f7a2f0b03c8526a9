"""Rooms whose files enter themselves somewhere: each is imported, so that a new one needs no list."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages


def import_room(name: str) -> None:
    """Import every module of a package, so that its classes are found by their names.

    Args:
        name: The package, such as ``steadyear.attacks.gradient``.
    """
    for found in walk_packages(import_module(name).__path__, f"{name}."):
        import_module(found.name)
