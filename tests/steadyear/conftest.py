"""What the runs of several files of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that starts empty and serves every run of this test process.

    Its keys hold the clip and the settings of the front end, so runs cannot confuse each other's
    spectrograms. With pytest-xdist every worker has its own.
    """
    return tmp_path_factory.mktemp("prepared")
