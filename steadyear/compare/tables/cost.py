"""What a system costs to train, against how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from steadyear.compare.load.runs import Run
from steadyear.compare.render.pages import Table
from steadyear.compare.render.style import look
from steadyear.compare.render.text import MISSING, show
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

COSTS: Final = {"training_gflops": "training [GFLOPs]", "fit_seconds": "training [s]"}
UNITS: Final = {"training_gflops": "GFLOPs", "fit_seconds": "s"}
CONDITIONS: Final = ("clean", "attacked")
FACTS: Final = {
    "forward_gflops_per_clip": "forward [GFLOPs]",
    "training_clips": "clips",
    "attack_gradient_queries": "queries",
}


@dataclass(frozen=True)
class TrainingCost:
    """Cost and score of one system.

    Attributes:
        system: The system.
        facts: What its runs recorded, over seeds: forward pass, clips and gradient queries.
        costs: ``training_gflops`` and ``fit_seconds`` over seeds, where every seed has them.
        scores: The ``clean`` score of the task, and the ``attacked`` one under the headline attack
            where it was met.
    """

    system: SystemSummary
    facts: dict[str, Spread]
    costs: dict[str, Spread]
    scores: dict[str, Spread]


def training_gflops(facts: Mapping[str, Any]) -> float | None:
    """Estimate the floating-point operations of a training, in 10^9.

    A backward pass costs a forward pass for the gradient of the input, and another one for that of
    the parameters. So a clip of a training step costs three forward passes, and a gradient query
    of an attack, which needs no gradient of the parameters, costs two::

        forward_gflops_per_clip * (3 * training_clips + 2 * attack_gradient_queries)

    Validation, optimiser steps, and the attack's looks at its result are left out, and what
    PyTorch does not count in a forward pass: element-wise work and Fourier transforms.

    Args:
        facts: The content of ``run.json``.

    Returns:
        The number; ``None`` where the run did not record one of the three.
    """
    forward, clips, queries = (facts.get(name) for name in FACTS)
    if forward is None or clips is None or queries is None:
        return None
    return float(forward) * (3 * int(clips) + 2 * int(queries))


def training_costs(summary: Summary) -> list[TrainingCost]:
    """Cost and score of every system of which one cost is known.

    Args:
        summary: The comparison.

    Returns:
        The systems, in order; empty where no run recorded a cost.
    """
    found = [_entry(system, summary) for system in summary.systems]
    return [entry for entry in found if entry.costs]


def _entry(system: SystemSummary, summary: Summary) -> TrainingCost:
    runs = system.group.runs
    values = {"training_gflops": [training_gflops(run.facts) for run in runs]}
    values["fit_seconds"] = [run.fit_seconds for run in runs]
    facts = {name: [run.facts.get(name) for run in runs] for name in FACTS}
    key = summary.task.score.key
    scores = {"clean": system.clean.metrics[key]}
    if summary.headline in system.attacked:
        scores["attacked"] = system.attacked[summary.headline].metrics[key]
    return TrainingCost(system, _complete(runs, facts), _complete(runs, values), scores)


def _complete(
    runs: Sequence[Run], values: Mapping[str, Sequence[float | None]]
) -> dict[str, Spread]:
    found = {}
    for name, each in values.items():
        known = {run.seed: float(v) for run, v in zip(runs, each, strict=True) if v is not None}
        # The mean of some seeds would be compared with that of all.
        if len(known) == len(runs):
            found[name] = Spread(known)
    return found


def front(
    points: Mapping[str, tuple[float, float]], *, higher_is_better: bool = False
) -> list[str]:
    """The Pareto front: systems of which none is both cheaper and better.

    Args:
        points: Cost and score by label; the less cost, the better.
        higher_is_better: Whether more of the score is better.

    Returns:
        Labels, from the cheapest to the most expensive. A system is left out where another one is
        at most as expensive and at least as good, and differs.
    """
    sign = -1 if higher_is_better else 1
    chosen = []
    for label, (cost, score) in points.items():
        others = [point for point in points.values() if point != (cost, score)]
        if not any(c <= cost and sign * s <= sign * score for c, s in others):
            chosen.append(label)
    return sorted(chosen, key=lambda label: points[label])


def points(
    found: Sequence[TrainingCost], cost: str, condition: str
) -> dict[str, tuple[float, float]]:
    """Mean cost and mean score by system, as far as both are known.

    Args:
        found: The systems.
        cost: One of ``COSTS``.
        condition: One of ``CONDITIONS``.

    Returns:
        The points by label; undefined scores have none.
    """
    known = [each for each in found if cost in each.costs and condition in each.scores]
    places = {
        each.system.label: (each.costs[cost].mean, each.scores[condition].mean) for each in known
    }
    return {label: place for label, place in places.items() if math.isfinite(place[1])}


def cost_table(summary: Summary) -> Table:
    """What every system costs, and whether it is on a Pareto front.

    Args:
        summary: The comparison.

    Returns:
        The table; without rows where no run recorded a cost.
    """
    found = training_costs(summary)
    fronts = _fronts(summary, found)
    heads = [f"{condition} front" for condition in CONDITIONS]
    header = ["system", *FACTS.values(), *COSTS.values(), *heads]
    rows, colours = [], []
    for entry in found:
        label = entry.system.label
        best = {key for key, labels in fronts.items() if label in labels}
        on = [[UNITS[cost] for cost in COSTS if (cost, each) in best] for each in CONDITIONS]
        rows.append([label, *_numbers(entry), *(", ".join(each) or MISSING for each in on)])
        colours.append(look(summary.systems.index(entry.system)).color)
    score = summary.task.score.label
    caption = (
        "GFLOPs = forward * (3 * clips + 2 * queries): a training step costs a forward pass and a "
        "backward pass to input and parameters, a gradient query of an attack a forward pass and "
        "a backward pass to the input. Validation and element-wise work are left out. Seconds "
        f"are comparable on one device only{_devices(found)}. Front: no other system is both "
        f"cheaper and better, in clean {score} or in {score} under {summary.headline.label}."
    )
    return Table("Cost", caption, header, rows, colours=tuple(colours))


def _fronts(summary: Summary, found: Sequence[TrainingCost]) -> dict[tuple[str, str], list[str]]:
    pairs = {(cost, each): points(found, cost, each) for cost in COSTS for each in CONDITIONS}
    higher = summary.task.higher_is_better
    return {
        pair: front(places, higher_is_better=higher) for pair, places in pairs.items() if places
    }


def _numbers(entry: TrainingCost) -> list[str]:
    known = entry.facts | entry.costs
    return [_three_digits(known.get(name)) for name in (*FACTS, *COSTS)]


def _three_digits(spread: Spread | None) -> str:
    if spread is None or not spread.mean:
        return show(spread, 0).removesuffix("±0")
    digits = max(0, 2 - math.floor(math.log10(abs(spread.mean))))
    text = show(spread, digits)
    return text if spread.std else text.split("±")[0]


def _devices(found: Sequence[TrainingCost]) -> str:
    devices = {str(run.facts.get("device")) for entry in found for run in entry.system.group.runs}
    return f" (here: {', '.join(sorted(devices))})" if len(devices) > 1 else ""


def cost_frame(summary: Summary) -> pd.DataFrame:
    """Cost and score of every run, unrounded.

    Args:
        summary: The comparison.

    Returns:
        One row per system and seed; empty where no cost is known.
    """
    rows = []
    for entry in training_costs(summary):
        columns = entry.facts | entry.costs
        key = summary.task.score.key
        columns |= {f"{key}_{name}": spread for name, spread in entry.scores.items()}
        for seed in entry.system.group.seeds:
            values = {name: spread.values.get(seed) for name, spread in columns.items()}
            rows.append({"system": entry.system.label, "seed": seed} | values)
    return pd.DataFrame(rows)


def cost_json(summary: Summary) -> dict[str, Any]:
    """Costs and Pareto fronts as plain values.

    Args:
        summary: The comparison.

    Returns:
        ``systems``: facts and costs of every system by seed. ``fronts``: labels per pair of cost
        and condition. Both empty where no cost is known.
    """
    found = training_costs(summary)
    return {
        "systems": [
            {"label": entry.system.label}
            | {
                name: {str(seed): value for seed, value in spread.values.items()}
                for name, spread in (entry.facts | entry.costs).items()
            }
            for entry in found
        ],
        "fronts": [
            {"cost": cost, "error": condition, "systems": labels}
            for (cost, condition), labels in _fronts(summary, found).items()
        ],
    }
