"""Tests of the differences between systems."""

from __future__ import annotations

from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.section import Section
from steadyear.compare.render.text import wrap
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.evidence import page_tables, terminal_tables


class DifferenceSection(Section):
    """Tests over seeds and over pooled clips, for every pair."""

    order = 10

    def tables(self, summary: Summary) -> list[Table]:
        """One row per pair."""
        return page_tables(summary)

    def terminal(self, summary: Summary) -> list[str]:
        """The tables."""
        tables = terminal_tables(summary)
        return [text for table, caption in tables for text in (table, wrap(caption))]
