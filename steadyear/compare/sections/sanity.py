"""Verdicts of the sanity checks."""

from __future__ import annotations

from steadyear.compare.render.pages import (
    Table,
)
from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary
from steadyear.compare.tables.sanity import sanity_tables


class SanitySection(Section):
    """How far every robust score can be trusted."""

    order = 90

    def tables(self, summary: Summary) -> list[Table]:
        """One row per verdict that is no PASS."""
        return sanity_tables(summary)
