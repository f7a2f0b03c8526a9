"""Siblings and undefended twins of a run: which are found, and that full checks use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from steadyear.__main__ import main
from steadyear.cli.relatives import find_relatives

ROOT = Path(__file__).resolve().parents[3]
DEFENCE = {"adversarial_training": {"class_path": "steadyear.callbacks.AdversarialTraining"}}
LAST = "checkpoints/last.ckpt"


def a_run(
    folder: Path, seed: int = 0, *, model: str = "A", defended: bool = False, done: bool = True
) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / LAST).touch()
    (folder / "run.json").write_text(json.dumps({"fit_finished": done}))
    config = {"seed_everything": seed, "model": {"class_path": model}, "callbacks": {"best": None}}
    config["callbacks"] |= DEFENCE if defended else {}
    (folder / "config-fit.yaml").write_text(yaml.safe_dump(config))
    return folder


def found(run: Path, runs: Path):
    return find_relatives(run, str(run / LAST), runs)


def test_siblings_are_finished_runs_of_the_experiment_with_the_same_network(tmp_path) -> None:
    own = a_run(tmp_path / "plain/seed0")
    second, third, _ = (a_run(tmp_path / f"plain/seed{n}", n) for n in (1, 2, 3))
    a_run(tmp_path / "plain/seed-1", 4, done=False)
    a_run(tmp_path / "plain/other", 5, model="B")
    a_run(tmp_path / "plain/defended", 6, defended=True)
    a_run(tmp_path / "plain/again", 0)
    a_run(tmp_path / "elsewhere/seed1", 7)
    siblings, twin = found(own, tmp_path)
    assert siblings == [str(second / LAST), str(third / LAST)]  # two are enough
    assert twin is None  # it is undefended itself
    assert found(own.resolve(), tmp_path / "plain/..").siblings  # however the paths are written


def test_a_twin_is_the_same_network_without_defence_and_rather_with_the_same_seed(tmp_path) -> None:
    own = a_run(tmp_path / "defended/seed1", defended=True)
    a_run(tmp_path / "again/seed1", defended=True)
    a_run(tmp_path / "another/seed1", model="B")
    assert found(own, tmp_path) == ([], None)
    stranger = a_run(tmp_path / "plain/seed0")
    assert found(own, tmp_path).twin == str(stranger / LAST)
    twin = a_run(tmp_path / "plain/seed1")
    assert found(own, tmp_path).twin == str(twin / LAST)
    (twin / LAST).unlink()
    assert found(own, tmp_path).twin == str(stranger / LAST)


def test_a_run_without_a_training_has_no_relatives(tmp_path) -> None:
    a_run(tmp_path / "plain/seed0")
    assert found(tmp_path / "plain/published", tmp_path) == ([], None)


@pytest.fixture
def trained(tmp_path, monkeypatch, prepared):
    """An undefended and two defended runs in miniature."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(prepared))
    monkeypatch.setattr("logging.raiseExceptions", False)
    tiny = {
        "model": {"init_args": {"network": {"init_args": {"width": 0.05}}}},
        "data": {"init_args": {"batch_size": 4, "excerpt_seconds": 2.0, "num_clips": [8, 4, 6]}},
        "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
        "callbacks": {"robustness": {"init_args": {"budgets": [0.05]}}},
        "logger": {"wandb": None},
    }
    Path("tiny.yaml").write_text(yaml.safe_dump(tiny))
    for name, seed in (("a2e", 0), ("aa2e", 0), ("aa2e", 1)):
        main(["fit", *experiment(name), f"--seed_everything={seed}"])


def experiment(name: str) -> list[str]:
    plain = [f"--config={ROOT / 'configs/experiment/demo/a2e.yaml'}", "--config=tiny.yaml"]
    if name == "a2e":
        return plain
    part = ROOT / "configs/callbacks/madry_short.yaml"
    changes = f"{{callbacks: {{adversarial_training: {part}}}}}"
    return [*plain, f"--config={changes}", f"--experiment=demo/{name}"]


@pytest.mark.slow
def test_full_checks_of_a_defended_run_use_its_sibling_and_its_twin(trained, tmp_path) -> None:
    main(["test", *experiment("aa2e"), "--run=seed0", "--ckpt_path=last", "--sanity=full"])
    report = json.loads(Path("runs/demo/aa2e/seed0/sanity.json").read_text())
    made = {one["name"]: one for one in report["checks"]}
    assert {"transfer", "twin"} <= set(made)
    assert [one["name"] for one in report["skipped"]] == ["catastrophic_overfitting"]
    config = yaml.safe_load(Path("runs/demo/aa2e/seed0/config-test.yaml").read_text())
    evaluation = config["callbacks"]["robustness"]["init_args"]
    assert evaluation["siblings"] == ["runs/demo/aa2e/seed1/checkpoints/last.ckpt"]
    assert evaluation["twin"] == "runs/demo/a2e/seed0/checkpoints/last.ckpt"
