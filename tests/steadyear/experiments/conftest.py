"""Every data set in miniature, for all experiments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.steadyear.bird_data import write_birdset
from tests.steadyear.music_data import write_emotify, write_esc50, write_soundtracks

CODES = [f"bird{i:02}" for i in range(21)]


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Emotify, Soundtracks, BC6 and HSN; archives are unpacked by the first run that needs them."""
    folder = tmp_path_factory.mktemp("miniatures")
    write_emotify(folder / "emotify")
    write_esc50(folder / "esc50")
    write_soundtracks(folder / "soundtracks")
    write_birdset(folder / "birdset_layout" / "BC6", "BC6", CODES[:6], 12, 4)
    write_birdset(folder / "birdset" / "HSN", "HSN", CODES, 24, 4)
    return folder


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Path, miniatures: Path
) -> Path:
    """An empty folder, with the data and the cache that all runs share."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(prepared))
    monkeypatch.setenv("STEADYEAR_DATA", str(tmp_path / "data"))
    # Lightning's log handler still holds the stream of an earlier test.
    monkeypatch.setattr("logging.raiseExceptions", False)
    (tmp_path / "data").symlink_to(miniatures)
    return tmp_path
