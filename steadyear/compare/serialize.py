"""The comparison as `summary.json`, version 1."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from steadyear.compare.load.cells import AttackKey, Cell
from steadyear.compare.render.section import SECTIONS
from steadyear.compare.scores.tasks import REGRESSION, TaskReport
from steadyear.compare.statistics.pairs import Comparison
from steadyear.compare.statistics.spread import PARTS, Scores, Spread, finite, spread_json
from steadyear.compare.statistics.summary import Summary, SystemSummary

FORMAT: Final = 1


def summary_json(summary: Summary) -> dict[str, Any]:
    """Turn a comparison into plain JSON values.

    Args:
        summary: The comparison.

    Returns:
        Everything that the tables and figures show; numbers that are not finite become ``None``,
        and so does the budget of an attack that nothing bounds.
    """
    run = summary.systems[0].group.runs[0]
    return {
        "format": FORMAT,
        **_task(summary),
        "clips": len(run.clips),
        "targets": list(run.names.targets),
        "grid": [
            {**_attack(each), "budgets": finite(list(summary.budgets(each)))}
            for each in summary.attacks
        ],
        "headline": _cell(summary.headline),
        "warnings": list(summary.warnings),
        "readings": list(summary.readings),
        "comparisons": [_comparison(each) for each in summary.comparisons],
        "systems": [_system(each) for each in summary.systems],
        **{
            section.key: finite(section.json(summary))
            for section in SECTIONS
            if section.key and section.applies(summary)
        },
    }


def _task(summary: Summary) -> dict[str, Any]:
    # As in tables of clips, regression goes without saying.
    task, size = summary.task, summary.decibels
    named = {} if task is REGRESSION else {"task": task.name}
    return named | ({} if size is None else {"z_unit_db": size})


def _attack(attack: AttackKey) -> dict[str, Any]:
    return {
        "attack": attack.name,
        "domain": attack.domain,
        "norm": attack.norm,
        "unit": attack.unit,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        **_attack(cell.attack),
        "budget": finite(cell.budget),
        "bounded": cell.bounded,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    # Tuples become lists on both ways, so that the file reads back equal.
    values = json.loads(json.dumps(asdict(comparison)))
    return {key: finite(value) for key, value in values.items()}


def _system(system: SystemSummary) -> dict[str, Any]:
    run = system.group.runs[0]
    return {
        "label": system.label,
        "system": run.system,
        "experiment": run.experiment,
        "seeds": list(system.group.seeds),
        "concepts": list(run.names.concepts),
        "runs": [finite(each.facts) for each in system.group.runs],
        "fit_seconds": spread_json(system.fit_seconds),
        "clean": _scores(run.task, system.clean),
        "attacked": [
            {**_cell(cell), **_scores(run.task, each)} for cell, each in system.attacked.items()
        ],
    }


def _scores(task: TaskReport, scores: Scores[Spread]) -> dict[str, Any]:
    names = {part: part for part in PARTS} | {"of_targets": task.target.key}
    return {
        names[part]: {name: spread_json(each) for name, each in getattr(scores, part).items()}
        for part in PARTS
    }
