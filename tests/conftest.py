"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Several test processes share the cores; tiny networks gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_SILENT"] = "true"

ROOT = Path(__file__).resolve().parents[1]
REAL = ("birdset_labels", "birdset_layout", "emotify", "mer_logs", "reference", "soundtracks")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings and reference arrays, which a user's clone does not have."""
    folder = Path(os.environ.get("STEADYEAR_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set STEADYEAR_DATA to test with it")
    # The variable also says where a user's own data sets lie, which are not those of the tests.
    if missing := [name for name in REAL if not (folder / name).is_dir()]:
        pytest.skip(f"{folder} is not the data of the tests: it lacks {', '.join(missing)}")
    return folder
