"""audio-C from end to end: a bird experiment in miniature, and its comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from steadyear.__main__ import main
from steadyear.datamodules.transforms.corruptions import AUDIO_C

ROOT = Path(__file__).resolve().parents[3]
AUDIO_C_FILE = ROOT / "configs/callbacks/audio_c.yaml"
ROBUSTNESS_FILE = ROOT / "configs/callbacks/bird_robustness.yaml"
SMALL = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8]}


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(tmp_path / "cache"))
    # Lightning's log handler still holds the stream of an earlier test.
    monkeypatch.setattr("logging.raiseExceptions", False)
    audio_c = yaml.safe_load(AUDIO_C_FILE.read_text())
    assert set(audio_c["init_args"]["corruptions"]) == set(AUDIO_C)
    audio_c["init_args"]["severities"] = [1, 5]
    robustness = yaml.safe_load(ROBUSTNESS_FILE.read_text())
    only_noise = {"noise": robustness["init_args"]["attacks"]["noise"]}
    robustness["init_args"] |= {"budgets": [0.05], "attacks": only_noise}
    changes = {
        "model": {"init_args": {"network": {"init_args": SMALL}}},
        "data": {"init_args": {"num_clips": [8, 4, 4], "batch_size": 4, "stream": "both"}},
        "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
        "callbacks": {"robustness": robustness, "audio_c": audio_c},
        "logger": {"wandb": None},
    }
    Path("tiny.yaml").write_text(yaml.safe_dump(changes))
    experiment = str(ROOT / "configs/experiment/birds_demo/ordinary.yaml")
    return ["--config", experiment, "--config", "tiny.yaml"]


def test_fit_test_compare_and_a_wrong_stream(arguments, capsys, caplog):
    main(["fit", *arguments])
    main(["test", *arguments])
    run = Path("runs/birds_demo/ordinary/seed0")
    table = pd.read_parquet(run / "corruptions.parquet")
    assert len(table) == len(AUDIO_C) * 2 * 4
    assert set(table["corruption"]) == set(AUDIO_C)
    metrics = pd.read_csv(run / "metrics.csv")
    wanted = {"test/audio_c/wind@5/cmap", "test/audio_c/mean/cmap", "test/audio_c/worst/cmap"}
    assert wanted <= set(metrics.columns)
    assert "worst_per_clip" in caplog.text
    capsys.readouterr()
    main(["compare", "runs"])
    assert "audio-C" in capsys.readouterr().out
    assert "audio-C" in Path("report/index.html").read_text()
    (numbers,) = json.loads(Path("report/summary.json").read_text())["audio_c"]
    for figure in ("clean", "mean", "worst"):
        logged = metrics[f"test/audio_c/{figure}/cmap"].dropna().item()
        assert numbers[figure]["0"] == pytest.approx(logged, rel=1e-5)
    main(["test", *arguments, "--callbacks.robustness", "null"])
    assert "test/audio_c" not in capsys.readouterr().out  # it has a table of its own
    with pytest.raises(SystemExit):
        main(["test", *arguments, "--data.stream", "spectrogram"])
    assert "set data.init_args.stream to 'both'" in capsys.readouterr().err
