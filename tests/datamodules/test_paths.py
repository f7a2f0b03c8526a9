from __future__ import annotations

from pathlib import Path

import pytest

from steadyear.datamodules.paths import default_cache_dir, expand_path


def test_variables_and_home_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_DATA", "/data")
    assert expand_path("${SOME_DATA}/a") == expand_path("$SOME_DATA/a") == Path("/data/a")
    assert expand_path("~/a") == Path.home() / "a"


def test_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_DATA", raising=False)
    with pytest.raises(ValueError, match="variable SOME_DATA, which is not set"):
        expand_path("${SOME_DATA}/a")


def test_default_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEADYEAR_CACHE", raising=False)
    assert default_cache_dir() == Path(".cache/steadyear")
