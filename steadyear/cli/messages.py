"""Errors of libraries in the words of a user."""

from __future__ import annotations

import inspect
import re
from difflib import get_close_matches
from importlib import import_module

_ASIDES = re.compile(
    r"\s*(?:- )?(Expected a <class 'NoneType'>|Does not validate against any of the Union subtypes"
    r"|Subtypes: .*|Errors:|Given value type: .*|Given value: .*(Namespace|NestedArg)\(.*)"
)
_CLASS_PATH = re.compile(r"class_path '([\w.]+)'")
_UNKNOWN_OPTION = re.compile(
    r"Option '([\w.]+)' is not accepted|unrecognized arguments: --([\w.]+)"
)
_UNKNOWN_CLASS = re.compile(r"Expected a dot import path string: ([\w.]+)")
_MISFIT = "Error(s) in loading state_dict"
_PACKAGES = tuple(
    f"steadyear.{name}" for name in ("attacks", "callbacks", "datamodules", "lightning_modules")
)


def plain(message: str) -> str:
    """Keep what a user can act on, and add the names that would have been right.

    Args:
        message: What jsonargparse, torch or SteadyEar reports.
    """
    if message.startswith(_MISFIT):
        return _misfit(message)
    lines = [line for line in message.splitlines() if not _ASIDES.fullmatch(line)]
    return "\n".join([*lines, *_hints(message)]).strip().removeprefix("- ")


def is_misfit(problem: BaseException) -> bool:
    """Whether a checkpoint does not fit the model that it is loaded into.

    Args:
        problem: What torch raised.
    """
    return str(problem).startswith(_MISFIT)


def _misfit(message: str) -> str:
    differences = [line.strip() for line in message.splitlines()[1:]]
    return (
        f"The checkpoint does not fit the configured model ({len(differences)} differences, the "
        f"first: {differences[0]}). Give the settings that it was trained with, for example by "
        "--config <run>/config-fit.yaml."
    )


def _hints(message: str) -> list[str]:
    if found := _UNKNOWN_CLASS.search(message):
        name = found[1]
        known = [n for package in _PACKAGES for n in import_module(package).__all__]
        close = " or ".join(get_close_matches(name, known))
        return [f"Did you mean {close}?"] if close else [f"There is no class {name}."]
    paths, option = _CLASS_PATH.findall(message), _UNKNOWN_OPTION.search(message)
    if not (paths and option):
        return []
    return [f"{paths[-1]} has: {', '.join(_options(paths[-1]))}."]


def _options(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    parents = inspect.getmro(getattr(import_module(module), name))
    found: dict[str, None] = {}
    for parent in parents:
        if "__init__" not in vars(parent):
            continue
        parameters = inspect.signature(vars(parent)["__init__"]).parameters.values()
        ordinary = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        found |= dict.fromkeys(ordinary[1:])
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found)
