"""Which attacks are comparable: those that choose from the same perturbations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from steadyear.attacks.balls import Ball
from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.views import View
from steadyear.attacks.domains.base import Domain
from steadyear.attacks.domains.transformations import Transformation


def comparable(attacks: Mapping[str, Attack]) -> list[list[str]]:
    """Names of the attacks, in groups that choose from the same perturbations at equal budgets.

    Args:
        attacks: Attacks by name; groups and names keep their order.
    """
    groups: list[list[str]] = []
    for name, attack in attacks.items():
        same = (group for group in groups if same_perturbations(attacks[group[0]], attack))
        group = next(same, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


def same_perturbations(first: Attack, other: Attack) -> bool:
    """Whether two attacks choose from the same perturbations at equal budgets.

    What they read of the model and how they search is their own matter.

    Args:
        first: An attack.
        other: Another attack.
    """
    return all(
        same_settings(ours, theirs)
        for ours, theirs in (
            (first.ball.at(0.0), other.ball.at(0.0)),
            (first.view.perturb_at, other.view.perturb_at),
            (first.view.domain, other.view.domain),
            (first.bounds, other.bounds),
        )
    )


def same_settings(part: Any, other: Any) -> bool:
    """Whether two parts of attacks were made alike: in a configuration every attack has its own.

    Args:
        part: A ball, a view, a domain, or what these are made with.
        other: Another one.
    """
    return bool(_settings(part) == _settings(other))


def _settings(part: Any) -> Any:
    if isinstance(part, Tensor):
        return part.tolist()
    if isinstance(part, list | tuple):
        return [_settings(each) for each in part]
    if not isinstance(part, Ball | View | Domain | Transformation):
        return part
    search_parameters = part.search_parameters if isinstance(part, Ball) else ()
    shown = {
        n: _settings(v) for n, v in vars(part).items() if n[0] != "_" and n not in search_parameters
    }
    return type(part), shown
