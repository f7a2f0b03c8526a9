"""What the runs of several files of this room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from steadyear.attacks.sanity.checks import gradient


@pytest.fixture(scope="module", autouse=True)
def _quick_checks() -> Iterator[None]:
    """What sanity checks find is tested with the checks; in whole runs they only have to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "_DIRECTIONS", 1)
        yield


@pytest.fixture(scope="module", autouse=True)
def _small_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures are drawn in full but with few pixels, unless a module has ``FULL_PICTURES``."""
    if getattr(request.module, "FULL_PICTURES", False):
        yield
        return
    save = Figure.savefig

    def save_small(figure: Figure, *args: Any, **kwargs: Any) -> None:
        save(figure, *args, **kwargs | {"dpi": 20})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_small)
        yield


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that starts empty and serves every run of this test process.

    Its keys hold the clip and the settings of the front end, so runs cannot confuse each other's
    spectrograms. With pytest-xdist every worker has its own.
    """
    return tmp_path_factory.mktemp("prepared")
