"""The house rules: which room may look where, how large rooms and files are, and one name per module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("attacks", "callbacks", "datamodules", "lightning_modules", "steadyear")
FOLDERS = PACKAGES[:-1]
FOUNDATION = "steadyear.foundation"
MAY_IMPORT = {
    FOUNDATION: set(),
    "steadyear.attacks": {FOUNDATION},
    "steadyear.callbacks": {FOUNDATION, "steadyear.attacks"},
    "steadyear.lightning_modules": {FOUNDATION},
    # A data module streams what a front end computes, and knows nothing else of the modules.
    "steadyear.datamodules": {FOUNDATION, "steadyear.lightning_modules.frontends"},
}
MOST_FILES = 12
MOST_LINES = 300


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "steadyear" else ("steadyear", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_of(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    # The linked folders are read where they really lie.
    if path.resolve() == path
}


def room_of(module: str) -> str:
    return module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]


def imported(module: str) -> set[str]:
    """Modules of ours that a module imports; a name that is itself a module counts as such."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{FILES[module]}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if name in FILES}
            names |= modules or {node.module or ""}
    return names


IMPORTS = {module: imported(module) for module in FILES}


def below(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def circle(graph: Mapping[str, set[str]]) -> str:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def test_arrows_point_down():
    wrong = [
        f"{module} imports {name}"
        for home, others in MAY_IMPORT.items()
        for module, names in IMPORTS.items()
        for name in names
        if below(module, [home]) and below(name, ["steadyear"]) and not below(name, {home, *others})
    ]
    assert not wrong


def test_there_is_no_circle_of_modules():
    assert not circle({module: names & FILES.keys() for module, names in IMPORTS.items()})


def test_there_is_no_circle_of_rooms():
    rooms: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        # The __init__ of a room shows what its inner rooms hold.
        if FILES[module].name != "__init__.py":
            ours = {room_of(name) for name in names & FILES.keys()}
            rooms.setdefault(room_of(module), set()).update(ours - {room_of(module)})
    assert not circle(rooms)


def test_data_modules_never_look_at_the_module():
    rooms = [path for module, path in FILES.items() if below(module, ["steadyear.datamodules"])]
    assert not [path for path in rooms if re.search(r"\.lightning_module\b", path.read_text())]


def test_attacks_need_torch_only():
    foreign = {
        name.split(".")[0]
        for module, names in IMPORTS.items()
        if below(module, ["steadyear.attacks"])
        for name in names
    }
    assert foreign - sys.stdlib_module_names - {"steadyear"} == {"torch"}


def test_rooms_and_files_stay_small():
    sizes: dict[Path, int] = {}
    for path in FILES.values():
        sizes[path.parent] = sizes.get(path.parent, 0) + 1
    crowded = {str(room): size for room, size in sizes.items() if size > MOST_FILES}
    lengths = {str(path): len(path.read_text().splitlines()) for path in FILES.values()}
    assert not crowded
    assert not {path: length for path, length in lengths.items() if length > MOST_LINES}
    assert not [path for path in lengths if path.endswith("utils.py")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_has_two_names(folder):
    command = [sys.executable, "-c", f"import {folder}"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert f"import steadyear.{folder}" in done.stderr
