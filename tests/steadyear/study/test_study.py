"""Studies: what is run, what is resumed, what is written for a cluster."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from steadyear.__main__ import main
from steadyear.study.jobs import Job, report_failure, run_jobs
from steadyear.study.plan import read_study, study_runs
from tests.small_runs import FLAGS

EXPERIMENT = Path(__file__).resolve().parents[3] / "configs" / "experiment" / "demo" / "a2e.yaml"


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(tmp_path / "cache"))
    return write_study(tmp_path, FLAGS)


def write_study(folder: Path, flags: list[str], **more: object) -> Path:
    study = {"systems": {"a2e": str(EXPERIMENT)}, "seeds": [3, 4], "flags": flags} | more
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def test_jobs_run_side_by_side_and_report_failures(tmp_path):
    jobs = [
        Job("bad", [["compare", str(tmp_path / "nothing")], ["--help"]], tmp_path / "bad.log"),
        Job("good", [["compare", "--help"]], tmp_path / "good.log"),
    ]
    outcomes = {outcome.job.name: outcome for outcome in run_jobs(jobs, parallel=2)}
    assert outcomes["bad"].failed == jobs[0].commands[0]
    assert outcomes["good"].failed is None
    assert "usage: steadyear compare" in (tmp_path / "good.log").read_text()
    message = report_failure(outcomes["bad"])
    assert "bad failed in `steadyear compare" in message
    assert "nothing" in message.splitlines()[-1]
    assert "usage" not in (tmp_path / "bad.log").read_text()  # the second command did not run


@pytest.mark.slow  # a study of one run is a test of the installed package
def test_study_runs_then_has_nothing_left_then_repeats_what_is_missing(study_file, capsys):
    main(["study", str(study_file), "--parallel", "2"])
    for seed in (3, 4):
        run = Path("runs/study/small/a2e") / f"seed{seed}"
        assert (run / "robustness.parquet").is_file()
        record = json.loads((run / "run.json").read_text())
        assert (record["system"], record["seed"], record["fit_finished"]) == ("a2e", seed, True)
    main(["study", str(study_file)])
    assert "2 complete already" in capsys.readouterr().out
    Path("runs/study/small/a2e/seed4/robustness.parquet").unlink()
    left = [task.job() for task in study_runs(read_study(study_file), Path("runs/study/small"))]
    assert left[0] is None
    assert [command[0] for command in left[1].commands] == ["test"]


def test_unfinished_fit_is_resumed(study_file):
    (task, _) = study_runs(read_study(study_file), Path("runs"))
    assert "--ckpt_path" not in task.job().commands[0]
    (task.folder / "checkpoints").mkdir(parents=True)
    (task.folder / "checkpoints" / "last.ckpt").touch()
    (task.folder / "run.json").write_text('{"fit_finished": false, "epochs": 3}')
    fit, test = task.job().commands
    assert fit[-2:] == ["--ckpt_path", "last"]
    assert test[-2:] == ["--ckpt_path", "best"]


@pytest.mark.slow  # jobs that fail are reported in the test above, and wrong flags in those of the command line
def test_failures_are_named_and_the_others_finished(tmp_path, study_file, capsys):
    bad = write_study(tmp_path, [*FLAGS, "--trainer.no_such_thing=1"])
    with pytest.raises(SystemExit) as end:
        main(["study", str(bad), "--parallel", "2"])
    assert "2 of 2 runs failed" in str(end.value)
    assert "no_such_thing" in str(end.value)
    assert capsys.readouterr().out.count("FAILED") == 2


def test_choosing_systems_seeds_and_tasks(study_file):
    study = read_study(study_file)
    assert [t.seed for t in study_runs(study, Path("runs"), seeds=[4])] == [4]
    with pytest.raises(ValueError, match=r"has no a9e; it has the systems a2e and the seeds 3, 4"):
        study_runs(study, Path("runs"), systems=["a9e"])


def test_slurm_array_and_sweep_name_every_run(study_file):
    main(["study", str(study_file), "--slurm", "array.sh", "--sweep", "sweep.yaml"])
    script = Path("array.sh").read_text()
    assert "--array=0-1\n" in script
    assert (
        f"steadyear study {study_file} --runs_dir runs/study/small --task $SLURM_ARRAY_TASK_ID"
        in script
    )
    assert subprocess.run(["bash", "-n", "array.sh"], check=False).returncode == 0
    sweep = yaml.safe_load(Path("sweep.yaml").read_text())
    assert sweep["parameters"]["seed"]["values"] == [3, 4]
    assert sweep["command"][1:3] == ["steadyear", "study"]
    assert not Path("runs").exists()


WRONG = {
    "no file": (None, "no study file"),
    "misspelt key": ({"sytems": {}}, "sytems"),
    "no seeds": ({"seeds": []}, "seeds"),
    "missing experiment": ({"systems": {"a": "nowhere.yaml"}}, "nowhere.yaml"),
    "wrong checkpoint": ({"checkpoint": "first"}, "best or last"),
}


@pytest.mark.parametrize(("change", "word"), WRONG.values(), ids=WRONG.keys())
def test_wrong_study_files_are_explained(change, word, tmp_path, study_file, capsys):
    path = tmp_path / "none.yaml" if change is None else write_study(tmp_path, FLAGS, **change)
    with pytest.raises(SystemExit):
        main(["study", str(path)])
    error = capsys.readouterr().err
    assert word in error
    assert "Traceback" not in error
