"""The command line as a user meets it: every experiment, composition, resuming, wrong input."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from steadyear.__main__ import COMMANDS, HELP, STAGES, main

ROOT = Path(__file__).resolve().parents[3]
TINY = {
    "model": {"init_args": {"network": {"init_args": {"width": 0.05}}}},
    "data": {"init_args": {"batch_size": 4, "excerpt_seconds": 2.0}},
    "trainer": {"max_epochs": 2, "enable_progress_bar": False, "enable_model_summary": False},
    "callbacks": {"robustness": {"init_args": {"budgets": [0.05]}}},
    "logger": {"wandb": None},
}


@pytest.fixture
def workplace(tmp_path, monkeypatch, prepared):
    """An empty folder, with the cache that all runs share, and no data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(prepared))
    monkeypatch.setenv("STEADYEAR_DATA", str(tmp_path / "data"))
    # Lightning's log handler still holds the stream of an earlier test.
    monkeypatch.setattr("logging.raiseExceptions", False)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path


def small(*extra: str) -> list[str]:
    return ["--config", "tiny.yaml", *extra]


DEMO = ["--config", str(ROOT / "configs/experiment/demo/a2e.yaml")]
FEW = small("--data.init_args.num_clips", "[8,4,6]")
MADRY = f"{{callbacks: {{adversarial_training: {ROOT}/configs/callbacks/madry_short.yaml}}}}"


def test_test_continues_in_the_folder_of_its_checkpoint(workplace, capsys):
    main(["fit", *DEMO, *FEW, "--run", "first"])
    main(["fit", *DEMO, *FEW, "--run", "second", "--seed_everything", "5"])
    main(["test", *DEMO, *FEW, "--ckpt_path", "runs/demo/a2e/first/checkpoints/last.ckpt"])
    assert (workplace / "runs/demo/a2e/first/robustness.parquet").is_file()
    assert not (workplace / "runs/demo/a2e/second/robustness.parquet").exists()
    advice = capsys.readouterr().out
    assert f"steadyear test {' '.join(DEMO)} --config tiny.yaml --run second" in advice
    main(["test", *DEMO, *FEW])  # the newest run
    assert (workplace / "runs/demo/a2e/second/robustness.parquet").is_file()
    assert json.loads((workplace / "runs/demo/a2e/second/run.json").read_text())["seed"] == 5


def test_a_new_fit_never_overwrites_a_run(workplace):
    main(["fit", *DEMO, *FEW])
    main(["fit", *DEMO, *FEW])
    assert {p.name for p in (workplace / "runs/demo/a2e").iterdir()} == {"seed0", "seed0-2"}
    with pytest.raises(SystemExit):
        main(["fit", *DEMO, *FEW, "--run", "seed0"])


def test_checkpoints_do_not_override_the_command_line(workplace, capfd):
    main(["fit", *DEMO, *FEW])
    with pytest.raises(SystemExit):
        main(["test", *DEMO, *FEW, "--model.init_args.network.init_args.width", "0.1"])
    error = capfd.readouterr().err
    assert "size mismatch for network.layers.0.0.weight" in error
    assert error.count("size mismatch") == 1
    assert "config-fit.yaml" in error


@pytest.mark.slow  # callbacks/evaluation/test_two_processes.py trains with two processes, too
def test_two_processes_train_one_run(workplace):
    """Lightning starts the second process with the command line of the first."""
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1"]
    command = [sys.executable, "-m", "steadyear", "fit", *DEMO, *FEW, *two]
    # Two processes meet at an empty cache.
    empty = {"STEADYEAR_CACHE": str(workplace / "cache")}
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | empty
    done = subprocess.run(command, check=False, capture_output=True, timeout=180, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert [path.name for path in (workplace / "runs/demo/a2e").iterdir()] == ["seed0"]
    assert (workplace / "runs/demo/a2e/seed0/checkpoints/last.ckpt").is_file()


def test_predict_writes_a_table(workplace):
    main(["fit", *DEMO, *FEW])
    main(["predict", *DEMO, *FEW])
    main(["test", *DEMO, *FEW])
    run = workplace / "runs/demo/a2e/seed0"
    predicted = pd.read_csv(run / "predictions.csv").set_index("clip")
    table = pd.read_parquet(run / "robustness.parquet").drop_duplicates("clip").set_index("clip")
    expected = np.stack(table["clean_prediction"])
    np.testing.assert_allclose(predicted.loc[table.index].to_numpy(), expected, atol=1e-5)
    assert list(predicted.columns)[:2] == ["valence", "energy"]


def test_a_named_callback_is_changed_added_and_switched_off(workplace, capsys):
    more = {
        "callbacks": {
            "robustness": None,
            "stop": {
                "class_path": "lightning.pytorch.callbacks.EarlyStopping",
                "init_args": {"monitor": "val/loss"},
            },
            "best": {"init_args": {"monitor": "val/mae", "mode": "min"}},
        }
    }
    (workplace / "more.yaml").write_text(yaml.safe_dump(more))
    with pytest.raises(SystemExit) as end:
        main(["fit", *DEMO, *FEW, "--config", "more.yaml", "--print_config"])
    assert end.value.code == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    callbacks = shown["callbacks"]
    assert callbacks["robustness"] is None
    assert callbacks["stop"]["class_path"].endswith("EarlyStopping")
    assert callbacks["best"]["init_args"]["monitor"] == "val/mae"
    assert callbacks["best"]["init_args"]["filename"] == "best"
    assert callbacks["epoch_seed"]["class_path"].endswith("EpochSeed")


FILE_OF_A_PART = ROOT / "configs/callbacks/madry_short.yaml"


@pytest.mark.parametrize("file", [str(FILE_OF_A_PART), "configs/callbacks/madry_short.yaml"])
@pytest.mark.parametrize(
    "form", ["--callbacks.adversarial_training {}", "--callbacks.adversarial_training={}"]
)
def test_a_named_callback_may_be_a_file(form, file, workplace, capsys):
    """Also one that only the package has; later options still change it."""
    later = ["--callbacks.adversarial_training.warmup_epochs", "1", "--print_config"]
    with pytest.raises(SystemExit) as end:
        main(["fit", *DEMO, *FEW, *form.format(file).split(), *later])
    assert end.value.code == 0
    callbacks = yaml.safe_load(capsys.readouterr().out)["callbacks"]
    training = callbacks["adversarial_training"]
    assert training["class_path"] == "steadyear.callbacks.AdversarialTraining"
    assert training["init_args"]["warmup_epochs"] == 1
    assert training["init_args"]["attack"]["init_args"]["relative_step"] == 1.25
    assert callbacks["epoch_seed"]["class_path"].endswith("EpochSeed")


def test_the_advice_after_a_training_repeats_named_files(workplace, capsys):
    """The experiment is called after the first file, not after a text."""
    named = ["--callbacks.best", str(ROOT / "configs/callbacks/best.yaml")]
    main(["fit", *named, *DEMO, *FEW])
    advice = capsys.readouterr().out.split("Test this run: steadyear ")[1]
    main(shlex.split(advice))
    assert (workplace / "runs/demo/a2e/seed0/robustness.parquet").is_file()


def test_both_protocols_of_the_mer_study_run(workplace):
    attacks = {name: {"init_args": {"steps": 3}} for name in ("as_stated", "as_run")}
    robustness = str(ROOT / "configs/callbacks/mer_protocols.yaml")
    (workplace / "mer.yaml").write_text(yaml.safe_dump({"callbacks": {"robustness": robustness}}))
    fewer = {"callbacks": {"robustness": {"init_args": {"budgets": [0.001], "attacks": attacks}}}}
    (workplace / "fewer.yaml").write_text(yaml.safe_dump(fewer))
    arguments = [*DEMO, *FEW, "--config", "mer.yaml", "--config", "fewer.yaml"]
    main(["fit", *arguments])
    main(["test", *arguments])
    table = pd.read_parquet(workplace / "runs/demo/a2e/seed0/robustness.parquet")
    cells = table.groupby("attack")["budget"].unique().to_dict()
    assert cells["as_stated"] == [0.001]
    assert np.isinf(cells["as_run"]).all()
    main(["compare", "runs", "--out", "report"])
    assert "unbounded" in (workplace / "report/index.html").read_text()


def test_print_config_shows_the_whole_truth(workplace, capsys):
    with pytest.raises(SystemExit):
        main(["fit", *DEMO, "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["trainer"]["inference_mode"] is False
    assert shown["model"]["init_args"]["frontend"]["init_args"]["bands_per_octave"] == 24
    pgd = shown["callbacks"]["robustness"]["init_args"]["attacks"]["pgd"]["init_args"]
    assert pgd["steps"] == 10
    assert shown["data"]["init_args"]["rater_noise"] is not None


def test_resolved_config_runs_again(workplace):
    main(["fit", *DEMO, *FEW])
    first = workplace / "runs/demo/a2e/seed0"
    main(["fit", "--config", str(first / "config-fit.yaml"), "--run", "again"])
    weights = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (first, workplace / "runs/demo/a2e/again")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


WRONG = {
    "misspelt key": (["--trainer.max_epocs", "3"], "max_epocs"),
    "misspelt key of the model": (["--model.init_args.consept_weight", "1"], "consept_weight"),
    "prefix of a key": (["--trainer.max_epoch", "3"], "max_epoch"),
    "misspelt class": (["--data", "SyntheticMusik"], "SyntheticMusik"),
    "wrong type": (["--trainer.max_epochs", "many"], "max_epochs"),
    "missing file of a callback": (["--callbacks.best", "nowhere.yaml"], "no file nowhere.yaml"),
    "missing config": (["--config", "nowhere.yaml"], "nowhere.yaml"),
    "missing checkpoint": (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt"),
    "contradiction": (["--model.init_args.concept_weight", "0.5"], "concept_weight"),
}


@pytest.mark.parametrize(("arguments", "word"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_ends_in_one_clear_message(arguments, word, workplace, capfd):
    with pytest.raises(SystemExit) as end:
        main(["fit", *DEMO, *FEW, *arguments])
    assert end.value.code not in (0, None)
    error = capfd.readouterr().err
    assert word in error
    assert "Traceback" not in error
    assert "error: " in error
    assert "usage:" not in error


def test_testing_before_training_says_what_to_do(workplace, capfd):
    with pytest.raises(SystemExit):
        main(["test", *DEMO, *FEW])
    assert "steadyear fit" in capfd.readouterr().err


def test_wrong_number_of_targets_names_the_setting(workplace, capfd):
    with pytest.raises(SystemExit):
        main(["fit", *DEMO, *FEW, "--model.init_args.head.init_args.num_targets", "5"])
    assert "num_targets to 8" in capfd.readouterr().err


def test_missing_data_root_names_the_variable(workplace, monkeypatch, capfd):
    monkeypatch.delenv("STEADYEAR_DATA")
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(ROOT / "configs/experiment/emotify/a2e.yaml"), *small()])
    assert "STEADYEAR_DATA" in capfd.readouterr().err


@pytest.mark.parametrize("program", ["steadyear", "module"])
def test_installed_program_and_module_are_alike(program, workplace):
    command = {
        "steadyear": [str(Path(sys.executable).with_name("steadyear"))],
        "module": [sys.executable, "-m", "steadyear"],
    }[program]
    done = subprocess.run([*command, "--help"], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    for word in (*STAGES, *COMMANDS):
        assert re.search(rf"^  {word}\b", done.stdout, re.MULTILINE)


def test_program_without_a_command_shows_the_help(capsys):
    main([])
    assert capsys.readouterr().out == HELP
    main(["--version"])
    assert capsys.readouterr().out == f"steadyear {version('steadyear')}\n"


def test_an_unknown_command_is_answered_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["fti"])
    assert "no command 'fti'; there are fit, validate" in capsys.readouterr().err


def test_options_of_a_stage_have_a_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit", "--help"])
    assert end.value.code == 0
    assert "--trainer.max_epochs" in capsys.readouterr().out


def test_compare_reads_what_test_wrote(workplace, capsys):
    main(["fit", *DEMO, *FEW])
    main(["test", *DEMO, *FEW])
    main(["compare", "runs", "--out", "report"])
    assert "a2e" in capsys.readouterr().out
    summary = json.loads((workplace / "report/summary.json").read_text())
    table = pd.read_parquet(workplace / "runs/demo/a2e/seed0/robustness.parquet")
    clean = table.drop_duplicates("clip")["clean_error"].mean()
    assert f"{clean:.5f}"[:6] in json.dumps(summary)
    assert (workplace / "report/index.html").is_file()


def test_results_older_than_the_weights_are_named(workplace, capsys):
    main(["fit", *DEMO, *FEW, "--run", "a"])
    main(["test", *DEMO, *FEW, "--run", "a"])
    main(["compare", "runs", "--out", "report"])
    assert "test` again" not in capsys.readouterr().out
    longer = ["--trainer.max_epochs", "3", "--run", "a", "--ckpt_path", "last"]
    main(["fit", *DEMO, *FEW, *longer])
    main(["compare", "runs", "--out", "report"])
    out = " ".join(capsys.readouterr().out.split())
    assert "tested after 2 epochs, but trained for 3: run `steadyear test` again" in out


def test_checkpoint_of_another_experiment_is_left_alone(workplace):
    main(["fit", *DEMO, *FEW])
    weights = "runs/demo/a2e/seed0/checkpoints/last.ckpt"
    before = Path(weights).read_bytes()
    other = ["--experiment", "other", "--ckpt_path", weights, "--trainer.max_epochs", "3"]
    main(["fit", *DEMO, *FEW, *other])
    assert Path(weights).read_bytes() == before
    assert Path("runs/other/seed0/checkpoints/last.ckpt").is_file()


def test_failed_start_leaves_no_folder(workplace):
    with pytest.raises(SystemExit):
        main(["fit", *DEMO, *FEW, "--model.init_args.concept_weight", "0.5"])
    assert not list(Path("runs").rglob("seed0*"))


@pytest.mark.slow  # callbacks/training/test_resume.py kills a training, too
def test_killed_and_resumed_fit_equals_the_uninterrupted_one(workplace):
    """SIGKILL in the middle of training, adversarial training included."""
    arguments = [*DEMO, "--config", MADRY, "--experiment=demo/aa2e", *FEW]
    arguments += ["--trainer.max_epochs", "8", "--callbacks.robustness", "null"]
    main(["fit", *arguments, "--run", "whole"])
    command = [sys.executable, "-m", "steadyear", "fit", *arguments, "--run", "killed"]
    killed = workplace / "runs/demo/aa2e/killed"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 120
        record = killed / "run.json"
        while time.monotonic() < deadline:
            done = json.loads(record.read_text())["epochs"] if record.is_file() else None
            if (done or 0) >= 2 and (killed / "checkpoints/last.ckpt").is_file():
                break
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
    interrupted = torch.load(killed / "checkpoints/last.ckpt", weights_only=True)
    assert interrupted["epoch"] < 7
    main(["fit", *arguments, "--run", "killed", "--ckpt_path", "last"])
    whole = torch.load(workplace / "runs/demo/aa2e/whole/checkpoints/last.ckpt", weights_only=True)
    resumed = torch.load(killed / "checkpoints/last.ckpt", weights_only=True)
    assert resumed["epoch"] == whole["epoch"] == 7
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
