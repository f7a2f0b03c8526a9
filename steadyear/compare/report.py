"""Write figures, `summary.json` and one page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from steadyear.compare.load.cells import budget_label
from steadyear.compare.render.pages import Table, overview_table, run_table, version_table
from steadyear.compare.render.picture import Picture
from steadyear.compare.render.section import SECTIONS
from steadyear.compare.render.style import RC
from steadyear.compare.serialize import summary_json
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.sanity import with_labels
from steadyear.foundation.import_room import import_room

import_room("steadyear.compare.sections")

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
    contents = read_sections(summary)
    out.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        for name in section.figure_names:
            (out / f"{name}.png").unlink(missing_ok=True)
        for name in section.frame_names:
            (out / f"{name}.csv").unlink(missing_ok=True)
    for content in contents:
        for picture in content.pictures:
            (out / f"{picture.name}.png").write_bytes(picture.png)
        for name, frame in content.frames.items():
            if len(frame):
                frame.to_csv(out / f"{name}.csv", index=False)
    numbers = json.dumps(summary_json(summary), indent=1, allow_nan=False, ensure_ascii=False)
    (out / "summary.json").write_text(numbers + "\n", encoding="utf-8")
    (out / "index.html").write_text(render(summary, contents), encoding="utf-8")


class Content(NamedTuple):
    """What a section says about one comparison."""

    title: str
    tables: list[Table]
    pictures: list[Picture]
    frames: dict[str, pd.DataFrame]

    @property
    def images(self) -> list[tuple[Picture, str]]:
        """The figures with their images as text, to be embedded."""
        return [
            (picture, base64.b64encode(picture.png).decode("ascii")) for picture in self.pictures
        ]


def read_sections(summary: Summary) -> list[Content]:
    """Ask every section that applies to a comparison.

    Args:
        summary: The comparison.
    """
    contents = []
    with mpl.rc_context(RC):
        for section in SECTIONS:
            if section.applies(summary):
                tables = [table for table in section.tables(summary) if table.rows]
                pictures, frames = section.figures(summary), section.frames(summary)
                contents.append(Content(section.title, tables, pictures, frames))
    return contents


def render(summary: Summary, contents: Sequence[Content]) -> str:
    """Render the page.

    Args:
        summary: The comparison.
        contents: What its sections say.

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
        sections=contents,
        tested=any(each.seed.p is not None for each in summary.comparisons),
        facts=[run_table(summary), version_table(summary)],
        fold=len(summary.readings) > FEW_READINGS,
        seeds=sorted({len(system.group.seeds) for system in summary.systems}),
    )
