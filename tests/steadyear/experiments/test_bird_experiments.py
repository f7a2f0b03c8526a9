"""Every bird experiment end to end, and a published checkpoint under attack with one command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from steadyear.__main__ import main
from tests.steadyear.bird_data import write_birdset

ROOT = Path(__file__).resolve().parents[3]
BIRDS = ("birds_demo", "bc6", "birdset")
EXPERIMENTS = sorted(p for f in BIRDS for p in (ROOT / "configs/experiment" / f).glob("*.yaml"))
TRAINED = [p for p in EXPERIMENTS if not p.stem.startswith("eval_")]
ATTACKS = {"noise", "pgd_output", "pgd_embedding"}
PROTOTYPES = {"prototypes_hidden", "prototypes_awakened"}
CODES = [f"bird{i:02}" for i in range(21)]


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """BC6 and HSN in miniature, unpacked by the first run that needs them."""
    folder = tmp_path_factory.mktemp("birds")
    write_birdset(folder / "birdset_layout" / "BC6", "BC6", CODES[:6], 12, 4)
    write_birdset(folder / "birdset" / "HSN", "HSN", CODES, 24, 4)
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch, prepared, birds):
    """An empty folder, with the data and the cache that all runs share."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(prepared))
    monkeypatch.setenv("STEADYEAR_DATA", str(tmp_path / "data"))
    # Lightning's log handler still holds the stream of an earlier test.
    monkeypatch.setattr("logging.raiseExceptions", False)
    (tmp_path / "data").symlink_to(birds)
    return tmp_path


def tiny(path: Path) -> list[str]:
    """A network and a training of the smallest size."""
    network = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8]}
    changes = {
        "model": {"init_args": {"network": {"init_args": network}}},
        "data": {"init_args": {"batch_size": 4}},
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
        "callbacks": {"robustness": {"init_args": {"budgets": [0.05]}}},
        "logger": {"wandb": None},
    }
    if path.parent.name == "birds_demo":
        changes["data"]["init_args"]["num_clips"] = [8, 4, 6]
    else:
        changes["data"]["init_args"] |= {"num_workers": 0, "window_seconds": 2.0}
    if "protopnet" in path.stem:
        changes["callbacks"]["prototypes"] = {"init_args": {"clips": 1}}
    if "_at_" in path.stem or path.stem.startswith("at_"):
        weights = {"init_args": {"warmup_epochs": 1}}
        changes["callbacks"]["adversarial_training"] = {
            "init_args": {"weight_perturbation": weights}
        }
    Path("tiny.yaml").write_text(yaml.safe_dump(changes))
    return ["--config", str(path), "--config", "tiny.yaml"]


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_bird_experiment_fits_and_tests(path, workplace):
    arguments = tiny(path)
    main(["fit", *arguments])
    main(["test", *arguments])
    run = Path("runs") / path.parent.name / path.stem / "seed0"
    table = pd.read_parquet(run / "robustness.parquet")
    assert set(table["attack"]) == ATTACKS | (PROTOTYPES if "protopnet" in path.stem else set())
    assert np.isfinite(np.stack(table["attacked_prediction"])).all()
    assert table["prs"].between(0, 1).all()
    record = json.loads((run / "run.json").read_text())
    assert record["epochs"] == 2
    trained = "at_" in path.stem
    assert (record["attack_gradient_queries"] > 0) == trained
    columns = set(pd.read_csv(run / "metrics.csv").columns)
    assert {"train/loss", "val/cmap", "test/cmap", "test/pgd_output@0.05/cmap"} <= columns
    assert ("train/robust_term" in columns) == trained


@pytest.mark.parametrize("kind", ["convnext", "audioprotopnet"])
def test_a_published_checkpoint_with_one_command(workplace, monkeypatch, capsys, kind):
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "lightning_modules"))
    from tests.lightning_modules import published_files

    write = getattr(published_files, f"write_{kind}")
    monkeypatch.setattr(published_files, "CODES", [*CODES, "melthr"])
    (workplace / "published").mkdir()
    write(workplace / "published")
    command = [
        *("test", "--config", str(ROOT / "configs/experiment/birdset/eval_pretrained.yaml")),
        *("--model.checkpoint", "published", "--data.name", "HSN", "--data.root", "data/birdset"),
        *("--data.num_workers", "0", "--logger.wandb", "null", "--trainer.accelerator", "cpu"),
        *("--callbacks.robustness.budgets", "[0.05]"),
    ]
    main(command)
    table = pd.read_parquet("runs/birdset/eval_pretrained/seed0/robustness.parquet")
    assert set(table["attack"]) == ATTACKS
    assert len(table["attacked_prediction"][0]) == len(CODES)
    assert "runs/birdset/eval_pretrained/seed0" in capsys.readouterr().out
    if kind == "convnext":
        main(command)  # a second evaluation is a run of its own
        assert Path("runs/birdset/eval_pretrained/seed0-2/robustness.parquet").is_file()
        return
    command[2] = str(ROOT / "configs/experiment/birdset/eval_prototypes.yaml")
    main(command)
    table = pd.read_parquet("runs/birdset/eval_prototypes/seed0/robustness.parquet")
    assert set(table["attack"]) == ATTACKS | PROTOTYPES


def test_attacks_on_prototypes_come_on_top_of_those_of_the_bird_study():
    both = (ROOT / f"configs/callbacks/{name}_robustness.yaml" for name in ("bird", "prototype"))
    bird, prototype = (yaml.safe_load(path.read_text())["init_args"] for path in both)
    assert prototype["budgets"] == bird["budgets"]
    more = {name: prototype["attacks"].pop(name) for name in PROTOTYPES}
    assert prototype["attacks"] == bird["attacks"]
    assert {each["init_args"]["objective"]["init_args"]["hide"] for each in more.values()} == {
        True,
        False,
    }


def test_missing_data_comes_with_the_command_that_gets_it(workplace, capsys):
    path = ROOT / "configs/experiment/birdset/convnext.yaml"
    with pytest.raises(SystemExit):
        main(["fit", *tiny(path), "--data.root", "elsewhere"])
    assert "steadyear data birdset HSN --split train --root elsewhere" in capsys.readouterr().err
