"""Optimiser settings for parts of a module, by the names of its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

GroupSettings = Mapping[str, Mapping[str, float]]


def grouped(
    parameters: Iterable[tuple[str, nn.Parameter]], settings: GroupSettings
) -> list[dict[str, Any]]:
    """Sort parameters into groups for an optimiser.

    A parameter belongs to the first pattern that its name matches; what matches none is a last group
    with the optimiser's own settings. Frozen parameters belong nowhere.

    Args:
        parameters: Parameters with their names.
        settings: Settings such as ``lr`` and ``weight_decay`` by pattern; ``*`` stands for any
            letters, dots too, as in ``network.*``.

    Raises:
        ValueError: If a pattern matches no parameter that learns, or only those that an earlier one
            has taken.
    """
    names: dict[str, nn.Parameter] = {n: p for n, p in parameters if p.requires_grad}
    rest = dict(names)
    groups: list[dict[str, Any]] = []
    for pattern, values in settings.items():
        taken = {name: p for name, p in rest.items() if fnmatchcase(name, pattern)}
        if not taken:
            raise ValueError(_nothing(pattern, list(names)))
        rest = {name: p for name, p in rest.items() if name not in taken}
        groups.append({"params": list(taken.values()), **values})
    return [*groups, {"params": list(rest.values())}] if rest else groups


def _nothing(pattern: str, names: list[str]) -> str:
    if any(fnmatchcase(name, pattern) for name in names):
        return (
            f"All parameters of '{pattern}' in parameter_groups match an earlier pattern: put it in "
            "front, or leave it out."
        )
    parts = sorted({".".join(name.split(".")[:2]) for name in names})
    return (
        f"'{pattern}' in parameter_groups matches no parameter that learns. Those that do begin "
        f"with {', '.join(parts[:20])}."
    )
