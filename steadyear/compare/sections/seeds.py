"""Which seeds every system has."""

from __future__ import annotations

from typing import Any

from steadyear.compare.render.section import Section
from steadyear.compare.statistics.summary import Summary


class SeedSection(Section):
    """Seeds by system."""

    order = 95
    key = "seeds"

    def json(self, summary: Summary) -> Any:
        """Lists of seeds."""
        return {system.label: list(system.group.seeds) for system in summary.systems}
