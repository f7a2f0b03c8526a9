"""Figures of a corruption evaluation: of every corruption, their mean, and the worst."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steadyear.callbacks.records.corruption_table import as_attacks
from steadyear.callbacks.records.robustness_scores import robustness_by_condition
from steadyear.callbacks.records.worst_cases import WorstCase

Figures = dict[str, float]


def corruption_figures(frame: pd.DataFrame, module: object) -> dict[str, Figures]:
    """Scores of the clean clips, of every corruption and severity, of their mean and the worst.

    Args:
        frame: What ``CorruptionTable.frame`` gave.
        module: Scored by its own ``scores`` if it has them, else by the mean error per clip.

    Returns:
        Scores by ``clean``, ``<corruption>@<severity>``, ``mean``, ``worst``, of every score the
        corruption that degrades it most, as its mean over the severities, and ``worst_per_clip``, the
        mean over the severities of the worst corruption of each clip. ``worst`` is empty where
        targets are no possible predictions, such as numbers of classes.
    """
    table = as_attacks(frame)
    severities = sorted(frame["severity"].unique())
    corruptions = tuple(dict.fromkeys(frame["corruption"]))
    worst = [WorstCase("worst", severity, corruptions) for severity in severities]
    figures = robustness_by_condition(table, module, worst)
    cells = _cells(frame)
    found = {"clean": figures["clean"]} | {each: figures[each] for each in cells}
    found["mean"] = _mean([figures[each] for each in cells])
    found["worst"] = _worst(list(_by_corruption(frame, figures).values()), _perfect(table, module))
    found["worst_per_clip"] = _mean([figures[case.key] for case in worst])
    return found


def _perfect(table: pd.DataFrame, module: object) -> Figures:
    """Scores of predictions that are the targets; they tell in which direction a score is better."""
    first = table[["attack", "budget"]].iloc[0]
    cell = table[(table["attack"] == first["attack"]) & (table["budget"] == first["budget"])]
    if len(cell["target"].iloc[0]) != len(cell["clean_prediction"].iloc[0]):
        return {}
    ideal = cell.assign(attacked_prediction=cell["target"], attacked_error=0.0)
    return robustness_by_condition(ideal, module)[f"{first['attack']}@{first['budget']:g}"]


def _worst(corruptions: Sequence[Figures], perfect: Figures) -> Figures:
    values = {name: [each[name] for each in corruptions if name in each] for name in perfect}
    return {
        name: found[int(np.argmax(np.abs(np.subtract(perfect[name], found))))]
        for name, found in values.items()
        if found
    }


def _by_corruption(frame: pd.DataFrame, figures: dict[str, Figures]) -> dict[str, Figures]:
    severities = sorted(frame["severity"].unique())
    return {
        str(name): _mean([figures[f"{name}@{severity}"] for severity in severities])
        for name in dict.fromkeys(frame["corruption"])
    }


def as_text(frame: pd.DataFrame, figures: dict[str, Figures]) -> str:
    """A small table: each corruption's mean over the severities, and what it is compared with.

    Args:
        frame: What ``CorruptionTable.frame`` gave.
        figures: What ``corruption_figures`` gave for it.
    """
    rows = {"clean": figures["clean"]} | _by_corruption(frame, figures)
    rows |= {name: figures[name] for name in ("mean", "worst", "worst_per_clip")}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.to_string(float_format=lambda value: f"{value:.3f}", na_rep="")


def _cells(frame: pd.DataFrame) -> list[str]:
    pairs = frame[["corruption", "severity"]].drop_duplicates()
    return [f"{name}@{severity}" for name, severity in pairs.itertuples(index=False)]


def _mean(figures: Sequence[Figures]) -> Figures:
    names = [name for name in figures[0] if all(name in each for each in figures)]
    return {name: sum(each[name] for each in figures) / len(figures) for name in names}
