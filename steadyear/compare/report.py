"""Write figures, `summary.json` and one page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from steadyear.compare.figures.all import Picture, draw_all
from steadyear.compare.figures.damage_bars import DAMAGE
from steadyear.compare.load.cells import budget_label
from steadyear.compare.render.pages import (
    Table,
    concept_table,
    grid_table,
    overview_table,
    run_table,
    strength_table,
    target_table,
    version_table,
)
from steadyear.compare.scores.tasks import MULTILABEL, REGRESSION
from steadyear.compare.sections.corruptions import corruption_tables
from steadyear.compare.sections.cost import cost_frame, cost_table
from steadyear.compare.sections.damage import damage_tables
from steadyear.compare.sections.evidence import page_tables
from steadyear.compare.sections.minimal_norm import MINIMAL_NORM, minimal_norm_table
from steadyear.compare.sections.paper import (
    difference_frame,
    prediction_frame,
    study_frame,
    study_table,
)
from steadyear.compare.sections.sanity import sanity_tables, with_labels
from steadyear.compare.sections.score_tables import (
    clip_frame,
    robustness_table,
    score_frame,
    score_table,
)
from steadyear.compare.sections.serialize import summary_json
from steadyear.compare.statistics.summary import Summary

STUDY_PICTURES: Final = ("differences", "predictions")
CLASS_PICTURES: Final = ("classes", "clip-errors")
COST: Final = "cost"
PICTURES: Final = (
    "robustness-mae",
    "robustness-r",
    "delta-mae",
    *STUDY_PICTURES,
    COST,
    "concepts",
)
MULTILABEL_PICTURES: Final = (
    "robustness-cmap",
    "robustness-auroc",
    "cmap-drop",
    *CLASS_PICTURES,
    COST,
)
EVERY_PICTURE: Final = {*PICTURES, *MULTILABEL_PICTURES, MINIMAL_NORM, DAMAGE}
NUMBERS: Final[dict[str, dict[str, Callable[[Summary], pd.DataFrame]]]] = {
    REGRESSION.name: {
        "clean-and-attacked": study_frame,
        "differences": difference_frame,
        "predictions": prediction_frame,
        COST: cost_frame,
    },
    MULTILABEL.name: {"scores": score_frame, "clip-errors": clip_frame, COST: cost_frame},
}
"""What goes into CSV files, by task."""
FEW_READINGS: Final = 6


def write_report(summary: Summary, out: Path) -> None:
    """Write a comparison.

    Args:
        summary: The comparison.
        out: Folder to write; made where it does not exist. Results of an earlier comparison in it
            are replaced.

    Raises:
        ValueError: If ``out`` is a file, or the runs of a system have different parts.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder with --out.")
    pictures = draw_all(summary)
    out.mkdir(parents=True, exist_ok=True)
    for name in sorted(EVERY_PICTURE):
        (out / f"{name}.png").unlink(missing_ok=True)
    for picture in pictures:
        (out / f"{picture.name}.png").write_bytes(picture.png)
    _write_numbers(summary, out)
    numbers = json.dumps(summary_json(summary), indent=1, allow_nan=False, ensure_ascii=False)
    (out / "summary.json").write_text(numbers + "\n", encoding="utf-8")
    (out / "index.html").write_text(render(summary, pictures), encoding="utf-8")


def _write_numbers(summary: Summary, out: Path) -> None:
    for name in sorted({name for frames in NUMBERS.values() for name in frames}):
        (out / f"{name}.csv").unlink(missing_ok=True)
    for name, frame in NUMBERS[summary.task.name].items():
        numbers = frame(summary)
        if len(numbers):
            numbers.to_csv(out / f"{name}.csv", index=False)


def render(summary: Summary, pictures: Sequence[Picture]) -> str:
    """Render the page.

    Args:
        summary: The comparison.
        pictures: Its figures.

    Returns:
        HTML with every figure embedded.
    """
    environment = Environment(
        loader=PackageLoader("steadyear.compare", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    run = summary.systems[0].group.runs[0]
    return environment.get_template("report.html.j2").render(
        summary=summary,
        budget_label=budget_label,
        clips=len(run.clips),
        targets=run.names.targets,
        called=dict(zip(("one", "several"), summary.task.targets, strict=True)),
        overview=with_labels(overview_table(summary), summary),
        tables=[*_tables(summary), *corruption_tables(summary), *sanity_tables(summary)],
        tests=page_tables(summary),
        study=study_table(summary) if summary.task is REGRESSION else None,
        cost=cost_table(summary),
        minimal=minimal_norm_table(summary),
        damage=damage_tables(summary),
        tested=any(each.seed.p is not None for each in summary.comparisons),
        facts=[run_table(summary), version_table(summary)],
        pictures=[(picture, base64.b64encode(picture.png).decode("ascii")) for picture in pictures],
        placed={
            "study": STUDY_PICTURES,
            "classes": CLASS_PICTURES,
            "cost": (COST,),
            "minimal": (MINIMAL_NORM,),
            "damage": (DAMAGE,),
        },
        fold=len(summary.readings) > FEW_READINGS,
        seeds=sorted({len(system.group.seeds) for system in summary.systems}),
    )


def _tables(summary: Summary) -> list[Table]:
    tables = [grid_table(summary), target_table(summary), concept_table(summary)]
    if summary.task is MULTILABEL:
        tables += [score_table(summary), robustness_table(summary)]
    return [table for table in [*tables, strength_table(summary)] if table.rows]
