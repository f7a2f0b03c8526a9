"""The demonstration keeps what the README promises."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from steadyear import demo
from steadyear.study.plan import read_study, study_runs


@pytest.mark.parametrize("name", demo.FILES.values())
def test_every_run_of_a_demo_fits_and_tests_an_existing_experiment(tmp_path, name):
    study = read_study(demo.STUDIES / name)
    jobs = [task.job() for task in study_runs(study, tmp_path)]
    assert len(study.systems) == 3
    assert len({job.log for job in jobs}) == 3 * len(study.seeds)
    for job in jobs:
        assert [command[0] for command in job.commands] == ["fit", "test"]
        assert all(Path(command[2]).is_file() for command in job.commands)


@pytest.mark.slow
def test_demo_shows_what_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(tmp_path / "cache"))
    demo.main(["--out", "report"])
    assert (tmp_path / "report/index.html").is_file()
    table = pd.concat(
        pd.read_parquet(path).assign(system=path.parts[-3], seed=path.parts[-2])
        for path in tmp_path.glob("runs/demo-*/*/seed*/robustness.parquet")
    )
    error = table.groupby(["system", "attack", "budget"])["attacked_error"].mean()
    clean = table.groupby("system")["clean_error"].mean()
    systems = ("a2e", "a2m2e", "aa2e")
    for system in systems:
        for attack in ("fgsm", "pgd"):
            curve = [clean[system], *error[system, attack].sort_index()]
            assert curve == sorted(curve), f"{attack} on {system} does not grow with the budget"
        loss = error[system] - clean[system]
        assert loss["noise", 0.1] < 0.25 * loss["pgd", 0.1]
    lost = {s: error[s, "pgd", 0.1] - clean[s] for s in systems}
    assert lost["aa2e"] < lost["a2e"]
    black_box = table[(table["system"] == "a2e") & (table["attack"] == "pgd")]
    for _, run in black_box[black_box["budget"] == 0.1].groupby("seed"):
        predicted = pd.DataFrame(run["clean_prediction"].tolist())
        target = pd.DataFrame(run["target"].tolist())
        assert predicted.corrwith(target).mean() >= 0.6
