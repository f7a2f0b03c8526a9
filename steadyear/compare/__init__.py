"""Compare trained systems: what they lose under attack, over seeds, on one page."""

from __future__ import annotations

from steadyear.compare.command import compare, main
from steadyear.compare.statistics.summary import Summary

__all__ = ["Summary", "compare", "main"]
