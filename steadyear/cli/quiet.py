"""Keeping other libraries' asides out of the terminal."""

from __future__ import annotations

import logging
import warnings


def silence_library_output() -> None:
    """Drop advertisements and warnings that a user of SteadyEar can do nothing about."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(_worth_reading)
    # Lightning 2.6 against its own dependencies' newer versions.
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
    warnings.filterwarnings("ignore", module="lightning.pytorch.cli", message=r"(?s).*deprecated")
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")


def _worth_reading(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()
