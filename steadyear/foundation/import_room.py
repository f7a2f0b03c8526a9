"""Rooms whose files enter themselves somewhere: each is imported, so that a new one needs no list."""

from __future__ import annotations

from importlib import import_module
from inspect import isabstract
from pkgutil import walk_packages
from typing import Any


def import_room(name: str) -> None:
    """Import every module of a package, so that its classes are found by their names.

    Args:
        name: The package, such as ``steadyear.attacks.gradient``.
    """
    for found in walk_packages(import_module(name).__path__, f"{name}."):
        import_module(found.name)


def concrete_subclasses(base: type, *rooms: str) -> list[type[Any]]:
    """The classes of some imported rooms that can be made, those near to the base first.

    Args:
        base: Their base class.
        rooms: Packages, such as ``steadyear.attacks.gradient``.
    """
    found: list[type[Any]] = []
    left: list[type[Any]] = base.__subclasses__()
    prefixes = tuple(f"{room}." for room in rooms)
    while left:
        kind = left.pop(0)
        left += kind.__subclasses__()
        if kind.__module__.startswith(prefixes) and not isabstract(kind):
            found.append(kind)
    return found
