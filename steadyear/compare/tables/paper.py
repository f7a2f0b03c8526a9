"""The numbers behind Table 1 and Figures 3 and 4 of the music-emotion study, for any systems.

Source: Hoedt, Flexer, Widmer, "Are Inherently Interpretable Models More Robust? A Study in Music
Emotion Recognition", SMC 2025.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from steadyear.compare.load.runs import Run
from steadyear.compare.render.pages import Table
from steadyear.compare.render.style import look
from steadyear.compare.render.text import MISSING, show, show_range, spread_caption
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

STUDY: Final = "Hoedt et al. (2025)"
DELTA: Final = "delta"
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def study_table(summary: Summary) -> Table:
    """One row per system with the columns of Table 1, as printed.

    Args:
        summary: The comparison.

    Returns:
        The table.
    """
    header = ["system", "seeds", "mean corr.", "MAE clean", "MAE attacked", "ΔMAE", "range"]
    rows = [_printed(system, summary) for system in summary.systems]
    colours = tuple(look(position).color for position in range(len(rows)))
    caption = (
        f"As Table 1 of {STUDY}: Pearson's r over clips without attack, mean over targets; mean "
        f"absolute error without attack and under {summary.headline.label}, and their difference; "
        f"lowest..highest attacked prediction of all seeds. {spread_caption(summary)} "
        "Unrounded in clean-and-attacked.csv."
    )
    return Table("Clean and attacked", caption, header, rows, colours=colours)


def _printed(system: SystemSummary, summary: Summary) -> list[str]:
    clean, attacked = system.clean.metrics, system.attacked.get(summary.headline)
    metrics = attacked.metrics if attacked else {}
    # The study prints two decimals of the clean error, which hide how far systems are apart.
    error = _mean(clean["mae"])
    if clean["mae"].n > 1 and error != MISSING:
        error = f"{error} ({show(clean['mae'], 2)})"
    return [
        system.label,
        str(len(system.group.seeds)),
        show(clean["pearson"], 2),
        error,
        _mean(metrics.get("mae")),
        show(metrics.get("delta_mae")),
        show_range(attacked),
    ]


def _mean(spread: Spread | None) -> str:
    # One value has no spread to print.
    return show(spread if spread is None else Spread({0: spread.mean}))


def study_frame(summary: Summary) -> pd.DataFrame:
    """The numbers of :func:`study_table`, unrounded.

    Args:
        summary: The comparison.

    Returns:
        One row per system; NaN where the system did not meet the headline attack.
    """
    return pd.DataFrame([_row(system, summary) for system in summary.systems])


def _row(system: SystemSummary, summary: Summary) -> dict[str, Any]:
    attacked = system.attacked.get(summary.headline)
    metrics = attacked.metrics if attacked else {}
    spreads = {
        "correlation_clean": system.clean.metrics["pearson"],
        "mae_clean": system.clean.metrics["mae"],
        "mae_attacked": metrics.get("mae", Spread({})),
        "delta_mae": metrics.get("delta_mae", Spread({})),
    }
    row: dict[str, Any] = {"system": system.label, "seeds": len(system.group.seeds)}
    for name, spread in spreads.items():
        row |= {f"{name}_mean": spread.mean, f"{name}_std": spread.std}
    ends = {"attacked_lowest": min, "attacked_highest": max}
    for (name, end), key in zip(ends.items(), ("lowest", "highest"), strict=True):
        row[name] = end(metrics[key].values.values()) if metrics else np.nan
    return row


def difference_frame(summary: Summary) -> pd.DataFrame:
    """Attacked minus clean absolute error of every clip, as in Figure 3.

    Args:
        summary: The comparison.

    Returns:
        One row per system, seed and clip: mean over targets as ``delta``, then every target as
        ``delta_<target>``.
    """
    parts = []
    for system, run in _attacked_runs(summary):
        attacked = run.attacked[summary.headline].prediction
        delta = np.abs(attacked - run.target) - np.abs(run.prediction - run.target)
        part = pd.DataFrame({"system": system.label, "seed": run.seed, "clip": run.clips})
        part[DELTA] = delta.mean(axis=1)
        part[[f"{DELTA}_{name}" for name in run.names.targets]] = delta
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def prediction_frame(summary: Summary) -> pd.DataFrame:
    """True and predicted values, as in Figure 4.

    Args:
        summary: The comparison.

    Returns:
        One row per system, seed, clip and target: ``true``, ``clean`` and ``attacked``.
    """
    parts = []
    for system, run in _attacked_runs(summary):
        clips, targets = len(run.clips), run.names.targets
        values = {
            "system": system.label,
            "seed": run.seed,
            "clip": np.repeat(run.clips, len(targets)),
            "target": list(targets) * clips,
            "true": run.target.ravel(),
            "clean": run.prediction.ravel(),
            "attacked": run.attacked[summary.headline].prediction.ravel(),
        }
        parts.append(pd.DataFrame(values))
    return pd.concat(parts, ignore_index=True)


def _attacked_runs(summary: Summary) -> Iterator[tuple[SystemSummary, Run]]:
    for system in summary.systems:
        for run in system.group.runs:
            if summary.headline in run.attacked:
                yield system, run


def study_json(summary: Summary) -> dict[str, Any]:
    """What table and figures of the study show, as plain values.

    Args:
        summary: The comparison.

    Returns:
        ``table``: rows of :func:`study_frame`. ``differences``: per system the number of
        differences over clips and seeds, their mean, quantiles and standard deviation, the mean
        of every seed, and the mean of every target.
    """
    frame = difference_frame(summary)
    return {
        "table": study_frame(summary).to_dict("records"),
        "differences": [_differences(str(name), each) for name, each in frame.groupby("system")],
    }


def _differences(label: str, frame: pd.DataFrame) -> dict[str, Any]:
    delta, targets = frame[DELTA], frame.filter(regex=f"^{DELTA}_")
    return {
        "label": label,
        "n": len(frame),
        "mean": float(delta.mean()),
        "std": float(delta.std(ddof=0)),
        "quantiles": {f"{q:g}": float(delta.quantile(q)) for q in QUANTILES},
        "seeds": {str(seed): float(each.mean()) for seed, each in delta.groupby(frame["seed"])},
        "targets": {
            str(name).removeprefix(f"{DELTA}_"): float(targets[name].mean()) for name in targets
        },
    }
