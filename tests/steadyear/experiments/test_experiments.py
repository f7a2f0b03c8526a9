"""Every experiment is trained and tested in small, and every system of every study takes a step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadyear.__main__ import main
from steadyear.study.plan import System, read_study
from tests.steadyear.experiments.small import BIRDS, CLASSES, CONFIGS, EXPERIMENTS, small

PROTOCOLS = {"noise", "as_stated", "as_run"}
STUDIES = {path.stem: read_study(path) for path in sorted((CONFIGS / "study").glob("*.yaml"))}
SYSTEMS = {
    f"{study}/{name}": (system, content.flags)
    for study, content in STUDIES.items()
    for name, system in content.systems.items()
    # The other systems are the experiments themselves.
    if system.changes
}


def attacks_of(experiment: str) -> set[str]:
    folder = experiment.split("/")[0]
    if folder == "mer":
        return PROTOCOLS
    if folder in BIRDS:
        prototypes = {"prototypes_hidden", "prototypes_activated"}
        birds = {"noise", "pgd_output", "pgd_embedding"}
        return birds | (prototypes if "protopnet" in experiment else set())
    return {"noise", "fgsm", "pgd"} | (
        {"fmn_linf", "fmn_l2", "as_run"} if folder == "synthetic" else set()
    )


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_fits_and_tests(experiment, workplace):
    arguments = ["--config", str(EXPERIMENTS[experiment]), *small(experiment)]
    main(["fit", *arguments])
    main(["test", *arguments])
    run = Path("runs") / experiment / "seed0"
    for name in ("config-fit.yaml", "config-test.yaml", "metrics.csv"):
        assert (run / name).is_file(), name
    table = pd.read_parquet(run / "robustness.parquet")
    assert set(table["attack"]) == attacks_of(experiment)
    assert np.isfinite(np.stack(table["attacked_prediction"])).all()
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    record = json.loads((run / "run.json").read_text())
    assert record["system"] == experiment.split("/")[1]
    assert record["epochs"] == 2
    columns = set(pd.read_csv(run / "metrics.csv").columns)
    if experiment.split("/")[0] in BIRDS:
        assert {"train/loss", "val/cmap", "test/cmap", "test/pgd_output@0.05/cmap"} <= columns
        assert table["prs"].between(0, 1).all()
    elif experiment.split("/")[0] in CLASSES:
        assert {"val/accuracy", "test/macro_f1", "test/pgd@0.05/accuracy"} <= columns
        assert table["prs"].between(0, 1).all()
    else:
        strongest = "as_stated@0.05" if "mer" in experiment else "pgd@0.05"
        assert {"train/loss", "val/pearson", "test/pearson", f"test/{strongest}/mae"} <= columns


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_of_a_study_takes_a_step(name, workplace):
    system, flags = SYSTEMS[name]
    experiment = f"{system.experiment.parent.name}/{system.experiment.stem}"
    main(["fit", *system.flags, *flags, *small(experiment), "--trainer.fast_dev_run=1"])


def test_adversarial_training_of_birds_leaves_its_marks(workplace):
    """A recipe, its weight perturbation and what they cost stand in the records."""
    system = STUDIES["birdset"].systems["audioprotopnet_at_e"]
    sooner = "--callbacks.adversarial_training.weight_perturbation.warmup_epochs=1"
    main(["fit", *system.flags, *small("birdset/audioprotopnet"), sooner, "--experiment=at_e"])
    run = Path("runs/at_e/seed0")
    assert json.loads((run / "run.json").read_text())["attack_gradient_queries"] > 0
    assert "train/robust_term" in pd.read_csv(run / "metrics.csv").columns


def test_studies_describe_systems_that_differ():
    for study in STUDIES.values():
        described = [(system.experiment, str(system.changes)) for system in study.systems.values()]
        assert len(set(described)) == len(described)
        assert all(isinstance(system, System) for system in study.systems.values())
