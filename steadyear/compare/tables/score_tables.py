"""Every score of a comparison of classifiers: as tables, and unrounded by run and by clip."""

from __future__ import annotations

from typing import Final

import pandas as pd

from steadyear.compare.render.pages import Table
from steadyear.compare.render.text import MISSING, show, spread_caption
from steadyear.compare.statistics.spread import Scores, Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary
from steadyear.compare.tables.paper import DELTA

ROBUSTNESS: Final = {
    "cmap_drop": "cmAP drop",
    "accuracy_drop": "accuracy drop",
    "prs_cmap": "cmAP PRS",
    "prs": "PRS",
    "drs": "DRS",
    "tars": "TARS",
}


_PRS_CMAP: Final = "cmAP PRS: exp(1 - clean / attacked), at most 1 (ours). "


def score_table(summary: Summary) -> Table:
    """Every score of every system, clean and under every attack and budget.

    Args:
        summary: The comparison.

    Returns:
        The table.
    """
    task = summary.task
    caption = (
        f"{task.glossary}; {task.scores_glossary}; clip error = mean over clips. "
        f"{task.clips.meaning} {spread_caption(summary)}"
    )
    labels = {} if task.labels_of_scores is None else task.labels_of_scores()
    columns = {**labels, "clip_error": "clip error"}
    return _table("Every score", caption, summary, columns, clean=True)


def robustness_table(summary: Summary) -> Table:
    """The robustness scores of every system under every attack and budget.

    Args:
        summary: The comparison.

    Returns:
        The table; without the scores of clips that no run has.
    """
    known = {name for each in summary.systems for s in each.attacked.values() for name in s.metrics}
    columns = {name: head for name, head in ROBUSTNESS.items() if name in known}
    caption = (
        "What the attacks took away. Robustness scores are between 0 and 1, and 1 says that nothing "
        f"was lost. {_PRS_CMAP * ('prs_cmap' in columns)}PRS, DRS and TARS are means "
        "over clips from the losses of the clips: PRS falls with the attacked loss, DRS as the "
        "prediction comes closer to the attacker's target, TARS is the F-measure of both; the "
        f"latter two for attacks with a target. {spread_caption(summary)}"
    )
    return _table("Robustness scores", caption, summary, columns, clean=False)


def _table(
    title: str, caption: str, summary: Summary, columns: dict[str, str], *, clean: bool
) -> Table:
    rows = []
    for system in summary.systems:
        conditions = [("clean", MISSING, system.clean)] * clean
        conditions += [
            (cell.attack.label, cell.amount, scores) for cell, scores in system.attacked.items()
        ]
        for attack, budget, scores in conditions:
            numbers = [show(scores.metrics.get(name), _digits(name)) for name in columns]
            rows.append([system.label, attack, budget, *numbers])
    return Table(title, caption, ["system", "attack", "budget", *columns.values()], rows, keys=3)


def _digits(name: str) -> int:
    return 3 if name in ("cmap", "cmap_drop", "accuracy", "accuracy_drop") else 2


def score_frame(summary: Summary) -> pd.DataFrame:
    """Every score of every run, unrounded.

    Args:
        summary: The comparison.

    Returns:
        One row per system, seed, attack and budget; without attack these two are empty.
    """
    rows = []
    for system in summary.systems:
        for keys, scores in _conditions(system):
            for seed in system.group.seeds:
                found = {
                    name: each.values[seed]
                    for name, each in scores.metrics.items()
                    if seed in each.values
                }
                if found:
                    rows.append({"system": system.label, "seed": seed} | keys | found)
    return pd.DataFrame(rows)


def _conditions(system: SystemSummary) -> list[tuple[dict[str, object], Scores[Spread]]]:
    clean = dict.fromkeys(("attack", "domain", "norm", "budget"))
    return [({**clean}, system.clean)] + [
        (
            {
                "attack": cell.attack.name,
                "domain": cell.attack.domain,
                "norm": cell.attack.norm,
                "budget": cell.budget,
            },
            scores,
        )
        for cell, scores in system.attacked.items()
    ]


def clip_frame(summary: Summary) -> pd.DataFrame:
    """The error of every clip, without and under the headline attack.

    Args:
        summary: The comparison.

    Returns:
        One row per system, seed and clip: ``clean_error``, ``attacked_error`` and their difference
        ``delta``.
    """
    parts = []
    for system in summary.systems:
        for run in system.group.runs:
            if summary.headline not in run.attacked:
                continue
            part = pd.DataFrame({"system": system.label, "seed": run.seed, "clip": run.clips})
            part["clean_error"] = run.errors
            part["attacked_error"] = run.attacked[summary.headline].errors
            part[DELTA] = part["attacked_error"] - part["clean_error"]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)
