"""The comparison as `summary.json`, version 1."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any, Final

from steadyear.compare.load.cells import Attack, Cell
from steadyear.compare.scores.tasks import REGRESSION, TaskReport
from steadyear.compare.sections.corruptions import audio_c_json
from steadyear.compare.sections.cost import cost_json
from steadyear.compare.sections.damage import KINDS, Damage, find_damage
from steadyear.compare.sections.minimal_norm import minimal_norm_json
from steadyear.compare.sections.paper import study_json
from steadyear.compare.statistics.pairs import Comparison
from steadyear.compare.statistics.spread import PARTS, Scores, Spread
from steadyear.compare.statistics.summary import Summary, System

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
            {**_attack(each), "budgets": _finite(list(summary.budgets(each)))}
            for each in summary.attacks
        ],
        "headline": _cell(summary.headline),
        "warnings": list(summary.warnings),
        "readings": list(summary.readings),
        "comparisons": [_comparison(each) for each in summary.comparisons],
        "systems": [_system(each) for each in summary.systems],
        **({"study": _finite(study_json(summary))} if summary.task is REGRESSION else {}),
        "cost": cost_json(summary),
        "minimal_norm": minimal_norm_json(summary),
        "damage": [_damage(each) for each in find_damage(summary)],
        "audio_c": _finite(audio_c_json(summary)),
    }


def _task(summary: Summary) -> dict[str, Any]:
    # As in tables of clips, regression goes without saying.
    task, size = summary.task, summary.decibels
    named = {} if task is REGRESSION else {"task": task.name}
    return named | ({} if size is None else {"z_unit_db": size})


def _attack(attack: Attack) -> dict[str, Any]:
    return {
        "attack": attack.name,
        "domain": attack.domain,
        "norm": attack.norm,
        "unit": attack.unit,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        **_attack(cell.attack),
        "budget": _finite(cell.budget),
        "bounded": cell.bounded,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    # Tuples become lists on both ways, so that the file reads back equal.
    values = json.loads(json.dumps(asdict(comparison)))
    return {key: _finite(value) for key, value in values.items()}


def _system(system: System) -> dict[str, Any]:
    run = system.group.runs[0]
    return {
        "label": system.label,
        "system": run.system,
        "experiment": run.experiment,
        "seeds": list(system.group.seeds),
        "concepts": list(run.names.concepts),
        "runs": [_finite(each.facts) for each in system.group.runs],
        "fit_seconds": _spread(system.fit_seconds),
        "clean": _scores(run.task, system.clean),
        "attacked": [
            {**_cell(cell), **_scores(run.task, each)} for cell, each in system.attacked.items()
        ],
    }


def _damage(damage: Damage) -> dict[str, Any]:
    values = {kind: damage.over_clips(change) for kind, change in KINDS.items()}
    return {
        "label": damage.system.label,
        "parts": list(damage.parts),
        "probe_r2": {part: _spread(each) for part, each in damage.probe_r2.items()},
        "targets": {
            target: {
                part: {kind: _spread(values[kind][target][part]) for kind in KINDS}
                for part in damage.parts
            }
            for target in damage.targets
        },
    }


def _scores(task: TaskReport, scores: Scores[Spread]) -> dict[str, Any]:
    names = {part: part for part in PARTS} | {"of_targets": task.target.key}
    return {
        names[part]: {name: _spread(each) for name, each in getattr(scores, part).items()}
        for part in PARTS
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "values": {str(seed): _finite(value) for seed, value in spread.values.items()},
        "mean": _finite(spread.mean),
        "std": _finite(spread.std),
        "n": spread.n,
    }


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
