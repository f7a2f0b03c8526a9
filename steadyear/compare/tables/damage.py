"""Attribution of the damage: what each part of a system adds to the change of its predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from steadyear.compare.load.runs import Floats, Run
from steadyear.compare.render.pages import Table
from steadyear.compare.statistics.spread import Spread, spread_json
from steadyear.compare.statistics.summary import Summary, SystemSummary

MOST_PARTS: Final = 12


@dataclass(frozen=True)
class Damage:
    """Contributions to the change of one system's predictions under the headline attack.

    Attributes:
        system: The system.
        parts: Names of the parts.
        by_seed: Contributions of every seed that has them, shape (clips, targets, parts).
        probe_r2: By part: how well the probe that made the groups of features explains the
            concept; empty where parts are units of a bottleneck.
    """

    system: SystemSummary
    parts: tuple[str, ...]
    by_seed: dict[int, Floats]
    probe_r2: dict[str, Spread]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return tuple(self.system.group.runs[0].names.targets)

    def over_clips(self, change: Callable[[Floats], Floats]) -> dict[str, dict[str, Spread]]:
        """Average over clips.

        Args:
            change: What is done to the contributions before.

        Returns:
            By target and part: the means of the seeds.
        """
        means = {seed: change(values).mean(axis=0) for seed, values in self.by_seed.items()}
        return {
            target: {
                part: Spread({seed: float(mean[row, place]) for seed, mean in means.items()})
                for place, part in enumerate(self.parts)
            }
            for row, target in enumerate(self.targets)
        }

    def per_clip(self) -> Floats:
        """Contributions along the change of each clip, mean over targets and seeds.

        Returns:
            Values, shape (clips, parts); over parts they sum to the clip's mean absolute change.
        """
        seeds = [along(values).mean(axis=1) for values in self.by_seed.values()]
        mean: Floats = np.mean(seeds, axis=0)
        return mean


def size(contributions: Floats) -> Floats:
    """Absolute values of contributions."""
    return np.abs(contributions)


def signed(contributions: Floats) -> Floats:
    """Contributions as they are; up and down cancel in their mean."""
    return contributions


def along(contributions: Floats) -> Floats:
    """Contributions in the direction of each prediction's change.

    Args:
        contributions: Shape (clips, targets, parts).

    Returns:
        The same shape; over parts they sum to the absolute change, and what holds against the
        change is negative.
    """
    moved: Floats = contributions * np.sign(contributions.sum(axis=2, keepdims=True))
    return moved


KINDS: Final[dict[str, Callable[[Floats], Floats]]] = {
    "mean_size": size,
    "mean": signed,
    "along_change": along,
}
"""What is averaged, by its name in `summary.json`."""


def find_damage(summary: Summary) -> list[Damage]:
    """Gather the contributions under the headline attack.

    Units without meaning have nothing in common over seeds but their number. Where there are
    several seeds they are ranked in each, the largest first.

    Args:
        summary: The comparison.

    Returns:
        One entry per system that has contributions.

    Raises:
        ValueError: If the runs of a system have different parts.
    """
    found = []
    for system in summary.systems:
        runs = [run for run in system.group.runs if _contributions(run, summary) is not None]
        if runs:
            found.append(_damage(system, runs, summary))
    return found


def _contributions(run: Run, summary: Summary) -> Floats | None:
    attacked = run.attacked.get(summary.headline)
    return None if attacked is None else attacked.contributions


def _damage(system: SystemSummary, runs: list[Run], summary: Summary) -> Damage:
    parts = tuple(runs[0].names.parts)
    by_seed: dict[int, Floats] = {}
    for run in runs:
        if tuple(run.names.parts) != parts:
            raise ValueError(
                f"{runs[0].folder} and {run.folder} are one system, but have different parts; "
                "compare runs that were tested on the same concepts."
            )
        values = _contributions(run, summary)
        assert values is not None
        by_seed[run.seed] = values
    if len(runs) > 1 and parts == tuple(f"unit {i}" for i in range(len(parts))):
        by_seed = {seed: values[..., _largest_first(values)] for seed, values in by_seed.items()}
        parts = tuple(f"rank {i + 1}" for i in range(len(parts)))
    return _shortened(Damage(system, parts, by_seed, _probe(runs)))


def _probe(runs: list[Run]) -> dict[str, Spread]:
    probed = [run for run in runs if run.names.part_r2]
    return {
        part: Spread({run.seed: run.names.part_r2[place] for run in probed})
        for place, part in enumerate(runs[0].names.parts[:-1])
        if probed
    }


def _largest_first(contributions: Floats) -> list[int]:
    sizes = np.abs(contributions).mean(axis=(0, 1))
    return [int(place) for place in np.argsort(-sizes, kind="stable")]


def _shortened(damage: Damage) -> Damage:
    if len(damage.parts) <= MOST_PARTS:
        return damage
    every = np.concatenate(list(damage.by_seed.values()))
    kept = sorted(_largest_first(every)[: MOST_PARTS - 1])
    rest = [place for place in range(len(damage.parts)) if place not in kept]
    by_seed = {
        seed: np.concatenate([v[..., kept], v[..., rest].sum(axis=2, keepdims=True)], axis=2)
        for seed, v in damage.by_seed.items()
    }
    names = (*(damage.parts[place] for place in kept), f"{len(rest)} others")
    return Damage(damage.system, names, by_seed, damage.probe_r2)


def damage_tables(summary: Summary) -> list[Table]:
    """One table per system: every target and part.

    Args:
        summary: The comparison.

    Returns:
        The tables.
    """
    return [_table(damage, summary) for damage in find_damage(summary)]


def _table(damage: Damage, summary: Summary) -> Table:
    sizes, means = damage.over_clips(size), damage.over_clips(signed)
    rows = [
        [target, *(_cell(sizes[target][part], means[target][part]) for part in damage.parts)]
        for target in damage.targets
    ]
    seeds = len(damage.by_seed)
    caption = (
        f"Mean |contribution| of each part to the change under {summary.headline.label}; in "
        f"brackets its mean with sign. Over clips and {seeds} seed{'s' if seeds > 1 else ''}."
        f"{_about(damage)}"
    )
    return Table(damage.system.label, caption, ["target", *damage.parts], rows)


def _cell(spread: Spread, mean: Spread) -> str:
    return f"{spread.mean:.3f} ({mean.mean:+.3f})"


def _about(damage: Damage) -> str:
    if damage.probe_r2:
        known = ", ".join(f"{part} {r2.mean:.2f}" for part, r2 in damage.probe_r2.items())
        return (
            " This system has no bottleneck: the parts are groups of features of its embedding, "
            "each given to one concept by the weights of a linear probe from embedding to concepts. "
            "A name says no more than the probe knows; its leave-one-out R² on training clips: "
            f"{known}. Remainder: features of no concept."
        )
    if damage.parts[0] == "rank 1":
        return (
            " Units of this bottleneck mean nothing by themselves and differ from seed to seed: "
            "rank 1 is the unit with the largest mean |contribution| of each seed."
        )
    return ""


def damage_json(summary: Summary) -> list[dict[str, Any]]:
    """The attribution of every system as JSON values.

    Args:
        summary: The comparison.
    """
    return [_json(each) for each in find_damage(summary)]


def _json(damage: Damage) -> dict[str, Any]:
    values = {kind: damage.over_clips(change) for kind, change in KINDS.items()}
    return {
        "label": damage.system.label,
        "parts": list(damage.parts),
        "probe_r2": {part: spread_json(each) for part, each in damage.probe_r2.items()},
        "targets": {
            target: {
                part: {kind: spread_json(values[kind][target][part]) for kind in KINDS}
                for part in damage.parts
            }
            for target in damage.targets
        },
    }
