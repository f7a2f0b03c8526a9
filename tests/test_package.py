"""The package as a user installs it: the wheel alone, in an empty environment and an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from steadyear.foundation.extras import EXTRAS
from tests.small_runs import FLAGS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("attacks", "callbacks", "configs", "datamodules", "lightning_modules", "steadyear")
DOCUMENTS = ("pyproject.toml", "README.md", "LICENSE")


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "STEADYEAR_DATA"}}
    return subprocess.run(
        command,
        cwd=folder,
        env=keep | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, because a build leaves its traces beside the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in DOCUMENTS:
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = run([*build, "--quiet", "--wheel-dir", str(out), str(source)], out)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


# They come with the development tools, and TorchMetrics imports them where it finds them.
UNWANTED = {"torchvision"}


def environment(folder: Path, wheel: Path, without: set[str]) -> str:
    """The interpreter of an environment with the wheel and links to our dependencies.

    Args:
        folder: Where to make it.
        wheel: The wheel.
        without: Modules that are not linked.
    """
    assert run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder).returncode == 0
    packages = next(folder.glob("lib/python*/site-packages"))
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        name = re.split(r"[-.]", entry.name)[0].lower()
        if name not in without and "steadyear" not in entry.name:
            (packages / entry.name).symlink_to(entry)
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packages)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> str:
    return environment(tmp_path_factory.mktemp("environment"), wheel, UNWANTED)


@pytest.fixture(scope="module")
def python_without_extras(wheel, tmp_path_factory) -> str:
    return environment(tmp_path_factory.mktemp("bare"), wheel, UNWANTED | set(EXTRAS))


@pytest.fixture
def empty(tmp_path) -> Path:
    """An empty folder but for packages whose names ours must not depend on."""
    for name in ("attacks", "callbacks", "datamodules", "lightning_modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a foreign package')\n")
    return tmp_path


def test_the_wheel_holds_the_package_and_its_configurations(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"steadyear"}
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    modules = {str(p.relative_to(ROOT)) for s in SOURCES for p in (ROOT / s).rglob("*.py")}
    templates = {str(p.relative_to(ROOT)) for p in (ROOT / "steadyear").rglob("*.j2")}
    expected = {
        file if file.startswith("steadyear/") else f"steadyear/{file}"
        for file in configs | modules | templates
    }
    assert expected | {"steadyear/py.typed"} <= names
    assert not [name for name in names if "test" in Path(name).parts]


def test_the_installed_package_finds_its_own_configurations(python, empty):
    (empty / "more.yaml").write_text(
        "callbacks: {adversarial_training: configs/callbacks/madry.yaml}\n"
    )
    demo = ["--config", "configs/experiment/demo/a2e.yaml", "--config", "more.yaml"]
    code = f"""
import steadyear.attacks
from steadyear.__main__ import main
print(steadyear.attacks.__file__)
main(["fit", *{demo!r}, "--print_config"])
"""
    done = run([python, "-c", code], empty)
    assert Path(python).parents[1] in Path(done.stdout.splitlines()[0]).parents, done.stderr
    assert "AdversarialTraining" in done.stdout, done.stderr


def test_a_study_of_shipped_experiments_runs_anywhere(python, empty):
    experiment = "configs/experiment/demo/a2e.yaml"
    study = {"systems": {"a2e": experiment}, "seeds": [0], "checkpoint": "last", "flags": FLAGS}
    (empty / "small.yaml").write_text(yaml.safe_dump(study))
    done = run([python, "-m", "steadyear", "study", "small.yaml"], empty, STEADYEAR_CACHE="cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (empty / "runs/study/small/a2e/seed0/robustness.parquet").is_file()


def test_the_snippets_of_the_readme_run(python, empty):
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(snippets) >= 3
    prelude = (ROOT / "tests" / "readme_prelude.py").read_text()
    (empty / "snippets.py").write_text("\n".join([prelude, *snippets]))
    done = run([python, "snippets.py"], empty)
    assert done.returncode == 0, done.stderr
    assert (empty / "robustness.parquet").is_file()


def test_without_extras_everything_imports_and_a_module_trains(python_without_extras, empty):
    code = f"""
import importlib, pkgutil
from steadyear.__main__ import main
for package in ("attacks", "callbacks", "datamodules", "lightning_modules", "cli", "study"):
    top = importlib.import_module(f"steadyear.{{package}}")
    for found in pkgutil.walk_packages(top.__path__, f"{{top.__name__}}."):
        importlib.import_module(found.name)
main(["fit", "--config", "configs/experiment/demo/a2e.yaml", *{FLAGS!r}])
"""
    done = run([python_without_extras, "-c", code], empty, STEADYEAR_CACHE="cache")
    assert done.returncode == 0, done.stderr
    assert (empty / "runs/demo/a2e/seed0/checkpoints/last.ckpt").is_file()


MISSING = [
    ("wandb", ["fit", "--config", "configs/experiment/demo/a2e.yaml"]),
    ("hub", ["fit", "--config", "configs/experiment/birds_demo/ordinary.yaml", *FLAGS[-1:]]),
    ("plots", ["compare", "runs"]),
    ("hub", ["data", "birdset", "HSN", "--root", "data"]),
]


def test_a_missing_extra_is_named_with_its_cure(python_without_extras, empty):
    # One process, because importing Lightning takes longer than all of the commands.
    code = f"""
import contextlib, io, json
from steadyear.__main__ import main
for _, arguments in {MISSING!r}:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            main(arguments)
        except SystemExit as end:
            print(json.dumps([end.code, said.getvalue()]))
"""
    done = run([python_without_extras, "-c", code], empty)
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    for (extra, _), (end, said) in zip(MISSING, ends, strict=True):
        assert end in {1, 2}
        assert f'pip install "steadyear[{extra}]"' in said
        assert "Traceback" not in said


def test_every_optional_dependency_has_its_extra():
    from importlib.metadata import requires

    declared = " ".join(requires("steadyear") or [])
    for module, extra in EXTRAS.items():
        assert re.search(rf"{module}[^ ]*; extra == .{extra}.", declared), module
