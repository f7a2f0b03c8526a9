"""Write the rows, the heat maps and one page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from steadyear.compare.load.cells import Cell
from steadyear.compare.render.picture import Picture
from steadyear.foundation.atomic_files import write_text
from steadyear.transfer.figures import draw_all
from steadyear.transfer.matrix import Matrix
from steadyear.transfer.tables import damage_table, share_table


def write_report(
    frame: pd.DataFrame, found: Matrix, cell: Cell, out: Path, skipped: Sequence[str] = ()
) -> None:
    """Write ``transfer.parquet``, the heat maps and ``index.html``.

    Args:
        frame: One row per source, target and clip.
        found: The matrix.
        cell: Attack and budget.
        out: Folder to write; made where it does not exist.
        skipped: Runs that were left out, in words.
    """
    out.mkdir(parents=True, exist_ok=True)
    meaning = cell.attack._asdict() | {"budget": cell.budget if cell.bounded else None}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({"steadyear": json.dumps(meaning)})
    pq.write_table(table, out / "transfer.parquet")
    pictures = draw_all(found)
    for picture in pictures:
        (out / f"{picture.name}.png").write_bytes(picture.png)
    write_text(out / "index.html", _render(frame, found, cell, pictures, skipped))


def _render(
    frame: pd.DataFrame,
    found: Matrix,
    cell: Cell,
    pictures: Sequence[Picture],
    skipped: Sequence[str],
) -> str:
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("steadyear.transfer", "."), PackageLoader("steadyear.compare", ".")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        cell=cell,
        targets=found.targets,
        seeds=sorted({n for _, n in frame.groupby("target")["target_seed"].nunique().items()}),
        clips=frame["clip"].nunique(),
        tables=[damage_table(found), share_table(found)],
        pictures=[(picture, base64.b64encode(picture.png).decode("ascii")) for picture in pictures],
        skipped=skipped,
    )
