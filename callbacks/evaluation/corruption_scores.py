"""Scores of a corruption evaluation: of every corruption, their mean, and the worst."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steadyear.callbacks.records.corruption_table import as_attacks
from steadyear.callbacks.records.robustness_scores import robustness_by_condition
from steadyear.callbacks.records.worst_cases import WorstCase

Scores = dict[str, float]


def corruption_scores(frame: pd.DataFrame, module: object) -> dict[str, Scores]:
    """Scores of the clean clips, of every corruption and severity, of their mean and the worst.

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
    scores = robustness_by_condition(table, module, worst)
    conditions = _conditions(frame)
    found = {"clean": scores["clean"]} | {each: scores[each] for each in conditions}
    found["mean"] = _mean([scores[each] for each in conditions])
    found["worst"] = _worst(list(_by_corruption(frame, scores).values()), _perfect(table, module))
    found["worst_per_clip"] = _mean([scores[case.key] for case in worst])
    return found


def _perfect(table: pd.DataFrame, module: object) -> Scores:
    """Scores of predictions that are the targets; they tell in which direction a score is better."""
    first = table[["attack", "budget"]].iloc[0]
    rows = table[(table["attack"] == first["attack"]) & (table["budget"] == first["budget"])]
    if len(rows["target"].iloc[0]) != len(rows["clean_prediction"].iloc[0]):
        return {}
    ideal = rows.assign(attacked_prediction=rows["target"], attacked_error=0.0)
    return robustness_by_condition(ideal, module)[f"{first['attack']}@{first['budget']:g}"]


def _worst(corruptions: Sequence[Scores], perfect: Scores) -> Scores:
    values = {name: [each[name] for each in corruptions if name in each] for name in perfect}
    return {
        name: found[int(np.argmax(np.abs(np.subtract(perfect[name], found))))]
        for name, found in values.items()
        if found
    }


def _by_corruption(frame: pd.DataFrame, scores: dict[str, Scores]) -> dict[str, Scores]:
    severities = sorted(frame["severity"].unique())
    return {
        str(name): _mean([scores[f"{name}@{severity}"] for severity in severities])
        for name in dict.fromkeys(frame["corruption"])
    }


def as_text(frame: pd.DataFrame, scores: dict[str, Scores]) -> str:
    """A small table: each corruption's mean over the severities, and what it is compared with."""
    rows = {"clean": scores["clean"]} | _by_corruption(frame, scores)
    rows |= {name: scores[name] for name in ("mean", "worst", "worst_per_clip")}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.to_string(float_format=lambda value: f"{value:.3f}", na_rep="")


def _conditions(frame: pd.DataFrame) -> list[str]:
    pairs = frame[["corruption", "severity"]].drop_duplicates()
    return [f"{name}@{severity}" for name, severity in pairs.itertuples(index=False)]


def _mean(scores: Sequence[Scores]) -> Scores:
    names = [name for name in scores[0] if all(name in each for each in scores)]
    return {name: sum(each[name] for each in scores) / len(scores) for name in names}
