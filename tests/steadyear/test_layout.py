"""A foreign package that hides one of ours is found out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from steadyear.layout import LayoutError, check_layout


def test_our_packages_lie_together():
    check_layout()


def test_a_foreign_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "callbacks", raising=False)
    with pytest.raises(LayoutError, match="pip uninstall callbacks"):
        check_layout()


def test_user_reads_a_message_and_no_traceback(tmp_path):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "steadyear", "compare", "nothing"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip uninstall callbacks" in done.stderr
    assert "Traceback" not in done.stderr
