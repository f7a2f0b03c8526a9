"""audio-C: degradation without an adversary."""

from __future__ import annotations

from typing import Any

from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.section import Section
from steadyear.compare.render.text import format_table, wrap
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.corruptions import audio_c_json, corruption_tables


class CorruptionSection(Section):
    """What corruptions do to every system."""

    order = 80
    key = "audio_c"

    def tables(self, summary: Summary) -> list[Table]:
        """One row per corruption."""
        return corruption_tables(summary)

    def json(self, summary: Summary) -> Any:
        """Scores by corruption."""
        return audio_c_json(summary)

    def terminal(self, summary: Summary) -> list[str]:
        """The tables."""
        paragraphs = []
        for table in corruption_tables(summary):
            rows = format_table(table.header, table.rows)
            paragraphs += [f"{table.title}\n\n{rows}", wrap(table.caption)]
        return paragraphs
