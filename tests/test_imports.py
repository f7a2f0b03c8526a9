"""The rooms may only look where the map allows it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("attacks", "callbacks", "datamodules", "lightning_modules", "steadyear")
MAY_IMPORT = {
    "attacks": set(),
    "callbacks": {"attacks"},
    "lightning_modules": set(),
    # A data module streams what a front end computes, and knows nothing else of the modules.
    "datamodules": {"lightning_modules.frontends"},
    "steadyear": {"attacks", "callbacks", "datamodules", "lightning_modules"},
}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    others = {n for n in imported(path) if n.split(".")[0] in ROOMS and n.split(".")[0] != room}
    allowed = MAY_IMPORT[room]
    forbidden = {
        name for name in others if not any(name == a or name.startswith(f"{a}.") for a in allowed)
    }
    assert not forbidden, f"{path} imports {forbidden}"


def test_attacks_need_torch_only():
    foreign = set()
    for path in (ROOT / "attacks").rglob("*.py"):
        foreign |= {name.split(".")[0] for name in imported(path)}
    assert foreign - sys.stdlib_module_names - {"attacks"} == {"torch"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small_and_have_a_purpose(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.name != "utils.py"
