"""Attacks on sounds through the whole application: the shipped parts, on birds that stream waveforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from steadyear.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"steps": 2, "tries": 2}
QUICK = ("Gain", "BackgroundNoise")
LOSS = {"class_path": "AsymmetricLoss", "init_args": {"reduction": "clip"}}
FGSM = {
    "ball": {"class_path": "Linf", "init_args": {"eps": 0.1}},
    "objective": {"class_path": "OutputLoss", "init_args": {"loss": LOSS}},
}
REALISABILITY = {
    "class_path": "RealisabilityGap",
    "init_args": {"attack": {"class_path": "FGSM", "init_args": FGSM}, "max_clips": 1},
}


def part(name: str) -> dict:
    """A shipped robustness part, with one budget and short searches."""
    robustness = yaml.safe_load((ROOT / f"configs/callbacks/{name}.yaml").read_text())
    robustness["init_args"]["budgets"] = robustness["init_args"]["budgets"][-1:]
    for attack in robustness["init_args"]["attacks"].values():
        attack["init_args"] |= {k: v for k, v in SMALL.items() if k in attack["init_args"]}
        domain = attack["init_args"]["view"]["init_args"]["domain"]
        if domain["class_path"] == "SemanticBox":
            # The vocoders are slow, and have tests of their own.
            kept = [t for t in domain["init_args"]["transformations"] if t["class_path"] in QUICK]
            domain["init_args"]["transformations"] = kept
    return robustness


@pytest.mark.parametrize(
    "name",
    # tests/callbacks/evaluation/test_waveforms.py holds the same way for boxes.
    [pytest.param("semantic_robustness", marks=pytest.mark.slow), "waveform_robustness"],
)
def test_sounds_are_attacked_and_measured(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(tmp_path / "cache"))
    # Lightning's log handler still holds the stream of an earlier test.
    monkeypatch.setattr("logging.raiseExceptions", False)
    network = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8]}
    changes = {
        "model": {"init_args": {"network": {"init_args": network}}},
        "data": {"init_args": {"batch_size": 3, "num_clips": [3, 2, 3], "stream": "waveform"}},
        "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
        "callbacks": {"robustness": part(name)},
        "logger": {"wandb": None},
    }
    if name == "waveform_robustness":
        changes["callbacks"]["realisability"] = REALISABILITY
    Path("tiny.yaml").write_text(yaml.safe_dump(changes))
    demo = ROOT / "configs/experiment/birds_demo/ordinary.yaml"
    main(["fit", "--config", str(demo), "--config", "tiny.yaml"])
    main(["test", "--config", str(demo), "--config", "tiny.yaml"])
    run = Path("runs/birds_demo/ordinary/seed0")
    table = pd.read_parquet(run / "robustness.parquet")
    attacks = part(name)["init_args"]["attacks"]
    assert set(table["attack"]) == set(attacks)
    assert set(table["domain"]) == {name.removesuffix("_robustness")}
    assert np.isfinite(np.stack(table["attacked_prediction"])).all()
    # Infinite where a search of two tries found nothing worse than the clean clip.
    assert table["snr_db"].notna().all()
    metrics = pd.read_csv(run / "metrics.csv").iloc[-1]
    assert metrics["test/pgd@" + f"{table['budget'][0]:g}/snr_db"] < 60
    if name == "waveform_robustness":
        assert 0 < metrics["test/realisability/gap"] <= 1
        assert metrics["test/realisability/snr_db"] > 10
