"""A classifier of single labels from training to comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadyear.__main__ import main
from tests.steadyear.experiments.small import EXPERIMENTS, small


@pytest.fixture
def trained(workplace: Path) -> Path:
    arguments = ["--config", str(EXPERIMENTS["esc50/convnext"]), *small("esc50/convnext")]
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
    capsys.readouterr()
    main(["compare", "runs"])
    shown = capsys.readouterr().out
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
