"""Write figures, `summary.json` and one page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from steadyear.compare.cells import budget_label
from steadyear.compare.evidence import page_tables
from steadyear.compare.figures import Picture, draw_all
from steadyear.compare.pages import (
    Table,
    concept_table,
    grid_table,
    overview_table,
    run_table,
    strength_table,
    target_table,
    version_table,
)
from steadyear.compare.serialize import summary_json
from steadyear.compare.summary import Summary

PICTURES: Final = ("robustness-mae", "robustness-r", "delta-mae", "predictions", "concepts")
FEW_READINGS: Final = 6


def write_report(summary: Summary, out: Path) -> None:
    """Write a comparison.

    Args:
        summary: The comparison.
        out: Folder to write; made where it does not exist. Results of an earlier comparison in it
            are replaced.

    Raises:
        ValueError: If ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        (out / f"{name}.png").unlink(missing_ok=True)
    pictures = draw_all(summary)
    for picture in pictures:
        (out / f"{picture.name}.png").write_bytes(picture.png)
    numbers = json.dumps(summary_json(summary), indent=1, allow_nan=False, ensure_ascii=False)
    (out / "summary.json").write_text(numbers + "\n", encoding="utf-8")
    (out / "index.html").write_text(render(summary, pictures), encoding="utf-8")


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
        overview=overview_table(summary),
        tables=_tables(summary),
        tests=page_tables(summary),
        tested=any(each.seed.p is not None for each in summary.comparisons),
        facts=[run_table(summary), version_table(summary)],
        pictures=[(picture, base64.b64encode(picture.png).decode("ascii")) for picture in pictures],
        fold=len(summary.readings) > FEW_READINGS,
        seeds=sorted({len(system.group.seeds) for system in summary.systems}),
    )


def _tables(summary: Summary) -> list[Table]:
    tables = [grid_table(summary), target_table(summary), concept_table(summary)]
    return [table for table in [*tables, strength_table(summary)] if table.rows]
