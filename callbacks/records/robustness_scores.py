"""Scores of a robustness evaluation: of the clean clips, of every attack, and of worst cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from steadyear.attacks import score_robustness
from steadyear.callbacks.records.robustness_table import stacked
from steadyear.callbacks.records.worst_cases import WorstCase
from steadyear.foundation.task import task_of

_AVERAGED = ("success", "achieved_linf", "achieved_l2", "snr_db", "prs", "drs", "tars")


def robustness_by_condition(
    frame: pd.DataFrame,
    module: object,
    cases: Sequence[WorstCase] = (),
    minimal_norm: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Scores of the clean clips, of every attack and budget, and of each clip's worst attack.

    A module is scored by its own ``scores`` if it has them, else by the mean error per clip.

    Returns:
        Scores by ``clean``, ``<attack>@<budget>`` and the worst case's ``key``: the scores; of attacks
        also the share of successes and the mean achieved norms, for waveforms ``snr_db``, the mean
        ``prs``, ``drs`` and ``tars`` where the module offers a loss of each clip, for multi-label
        modules ``prs_cmap``, and of attacks that minimise the norm ``median_norm``, the median over
        the clips with success.
    """
    groups = [
        (str(a), float(str(b)), g) for (a, b), g in frame.groupby(["attack", "budget"], sort=False)
    ]
    found = {"clean": _scores(groups[0][2], module, "clean")}
    for attack, budget, group in groups:
        measured = {
            column: float(group[column].mean())
            for column in _AVERAGED
            if column in group and group[column].notna().all()
        }
        if attack in minimal_norm and group["success"].any():
            reached = group.loc[group["success"], "achieved_size"]
            measured["median_norm"] = float(reached.median())
        scores = _attacked_scores(group, module, found["clean"])
        found[f"{attack}@{budget:g}"] = scores | measured
    for case in cases:
        rows = case.rows(frame)
        worst = rows.loc[rows.groupby("index")["attacked_error"].idxmax()]
        found[case.key] = _attacked_scores(worst, module, found["clean"])
    return found


def _attacked_scores(
    group: pd.DataFrame, module: object, clean: dict[str, float]
) -> dict[str, float]:
    scores = _scores(group, module, "attacked")
    task = task_of(module)
    if task is not None and task.score_has_prs:
        scores[f"prs_{task.score}"] = score_robustness(clean[task.score], scores[task.score])
    return scores


def _scores(group: pd.DataFrame, module: object, state: str) -> dict[str, float]:
    score = getattr(module, "scores", None)
    if not callable(score):
        return {"error": float(group[f"{state}_error"].mean())}
    scores = score(stacked(group, f"{state}_prediction"), stacked(group, "target"))
    # Scores of single outputs stand in the table; here they would drown the rest.
    return {name: value for name, value in scores.items() if "/" not in name}


def budgets_in_decibels(
    frame: pd.DataFrame, cases: Sequence[WorstCase], z_unit_db: float | None
) -> dict[str, float]:
    """Budgets in dB by condition, of bounds on the values of spectrograms.

    Empty where ``z_unit_db``, what one unit of the spectrogram is in dB, is not known.
    """
    if z_unit_db is None:
        return {}
    rows = frame[["attack", "domain", "norm", "budget"]].drop_duplicates()
    rows = rows[(rows["domain"] == "spectrogram") & (rows["norm"] == "linf")]
    sizes = {
        (name, budget): budget * z_unit_db
        for name, budget in zip(rows["attack"], rows["budget"], strict=True)
        if math.isfinite(budget)
    }
    # Attacks with a worst case together have one unit.
    worst = {case.key: sizes.get((case.attacks[0], case.budget)) for case in cases}
    found = {f"{name}@{budget:g}": size for (name, budget), size in sizes.items()} | worst
    return {condition: size for condition, size in found.items() if size is not None}


def scores_as_text(scores: dict[str, dict[str, float]], decibels: Mapping[str, float]) -> str:
    """The scores as a table for the terminal, with budgets in dB where they are known."""
    table = pd.DataFrame.from_dict(scores, orient="index")
    if decibels:
        # As text, because the smallest budgets of bird studies are hundredths of a dB.
        budgets = [f"{decibels[key]:.2g}" if key in decibels else "" for key in table.index]
        table.insert(0, "budget in dB", budgets)
    return table.to_string(float_format=lambda value: f"{value:.3f}", na_rep="")
