"""A published checkpoint under attack with one command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from steadyear.__main__ import main
from tests.steadyear.experiments.conftest import CODES
from tests.steadyear.experiments.small import small

ROOT = Path(__file__).resolve().parents[3]
ATTACKS = {"noise", "pgd_output", "pgd_embedding"}
PROTOTYPES = {"prototypes_hidden", "prototypes_activated"}


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
        *("--data.batch_size", "2", "--data.window_seconds", "2"),
        *("--trainer.limit_test_batches", "1"),
    ]
    if kind == "audioprotopnet":
        command[2] = str(ROOT / "configs/experiment/birdset/eval_prototypes.yaml")
    main(command)
    run = Path("runs/birdset") / Path(command[2]).stem / "seed0"
    table = pd.read_parquet(run / "robustness.parquet")
    assert set(table["attack"]) == ATTACKS | (PROTOTYPES if kind == "audioprotopnet" else set())
    assert len(table["attacked_prediction"][0]) == len(CODES)
    assert str(run) in capsys.readouterr().out
    if kind == "convnext":
        main(command)  # a second evaluation is a run of its own
        assert (run.parent / "seed0-2/robustness.parquet").is_file()


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
        main(["fit", "--config", str(path), *small("birdset/convnext"), "--data.root", "elsewhere"])
    assert "steadyear data birdset HSN --split train --root elsewhere" in capsys.readouterr().err
