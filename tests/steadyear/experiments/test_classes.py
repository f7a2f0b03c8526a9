"""A classifier of single labels from training to comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from steadyear.__main__ import main
from tests.steadyear.experiments.small import EXPERIMENTS, small


@pytest.fixture
def trained(workplace: Path) -> Path:
    small("esc50/convnext")
    changes = yaml.safe_load(Path("small.yaml").read_text())
    # The network of the configuration, long enough to recognise some of the tones.
    del changes["model"]
    changes["trainer"] |= {"max_epochs": 15, "limit_test_batches": 1.0}
    Path("small.yaml").write_text(yaml.safe_dump(changes))
    arguments = ["--config", str(EXPERIMENTS["esc50/convnext"]), "--config", "small.yaml"]
    arguments += ["--data.init_args.batch_size", "8"]
    main(["fit", *arguments])
    main(["test", *arguments])
    return Path("runs/esc50/convnext")


def test_scores_of_the_test_are_those_of_the_comparison(trained, capsys):
    table = pd.read_parquet(trained / "seed0/robustness.parquet")
    pgd = table[table["attack"] == "pgd"]
    predicted = np.stack(pgd["attacked_prediction"]).argmax(1)
    accuracy = (predicted == np.concatenate(list(pgd["target"]))).mean()
    logged = pd.read_csv(trained / "seed0/metrics.csv")["test/pgd@0.05/accuracy"].dropna().item()
    assert logged == pytest.approx(accuracy, abs=1e-6)
    clean = (
        np.stack(pgd["clean_prediction"]).argmax(1) == np.concatenate(list(pgd["target"]))
    ).mean()
    assert clean > 0.1 > accuracy
    capsys.readouterr()
    main(["compare", "runs"])
    shown = capsys.readouterr().out
    assert "Strongest attack: pgd" in shown  # of equal ones that with most queries
    for head in ("accuracy drop", "macro F1"):
        assert all(word in shown for word in head.split())
    summary = json.loads(Path("report/summary.json").read_text())
    (system,) = summary["systems"]
    cell = next(c for c in system["attacked"] if c["attack"] == "pgd")
    assert cell["metrics"]["accuracy"]["values"]["0"] == pytest.approx(accuracy)
    page = Path("report/index.html").read_text()
    assert "ECE" in page
    assert "Recall of each class" in page
    for figure in ("robustness-accuracy", "robustness-macro-f1", "accuracy-drop", "classes"):
        assert Path(f"report/{figure}.png").is_file()
