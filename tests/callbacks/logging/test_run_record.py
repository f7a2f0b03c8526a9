"""What a run leaves in its folder."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
import yaml
from lightning.pytorch import Callback

from steadyear.callbacks import RunRecord
from steadyear.callbacks.logging.run_record import write_text
from tests.callbacks import foreign_modules as foreign

PARSER = SimpleNamespace(dump=lambda config, skip_none: yaml.safe_dump(config))


def record(**config):
    config = {"experiment": "demo/a2e", "run": "seed3", "seed_everything": 3} | config
    return RunRecord(PARSER, config, save_to_log_dir=False)


def stored(folder):
    return json.loads((folder / "run.json").read_text())


def test_every_stage_keeps_its_configuration(tmp_path):
    module = foreign.seeded(foreign.Foreign)
    for stage, width in (("fit", 12), ("test", 99), ("validate", 5)):
        trainer = foreign.trainer(tmp_path, record(width=width))
        getattr(trainer, stage)(module, foreign.loader())
    widths = {
        path.name: yaml.safe_load(path.read_text())["width"]
        for path in tmp_path.glob("config-*.yaml")
    }
    assert widths == {"config-fit.yaml": 12, "config-test.yaml": 99, "config-validate.yaml": 5}


def test_record_says_what_a_comparison_needs(tmp_path):
    module = foreign.seeded(foreign.Foreign)
    foreign.trainer(tmp_path, record()).fit(module, foreign.loader())
    first = stored(tmp_path)
    expected = {
        "format": 1,
        "experiment": "demo/a2e",
        "run": tmp_path.name,
        "system": "a2e",
        "seed": 3,
        "parameters": 6 * 8 + 8 + 8 * 2 + 2,
        "device": "cpu",
        "epochs": 2,
    }
    assert {key: first[key] for key in expected} == expected
    assert first["versions"]["torch"] in {torch.__version__, torch.__version__.split("+")[0]}
    assert 0 < first["fit_seconds"] < 60

    # A test of the run, perhaps with another seed, changes nothing of what training said.
    foreign.trainer(tmp_path, record(seed_everything=99)).test(
        module, foreign.loader(), verbose=False
    )
    assert stored(tmp_path) == first | {"tested_after_epochs": 2}

    # A new training has the last word.
    foreign.trainer(tmp_path, record(seed_everything=99)).fit(module, foreign.loader())
    assert stored(tmp_path)["seed"] == 99
    assert stored(tmp_path)["fit_finished"]


class Clock:
    """Tells a time that advances only when told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Tick(Callback):
    def __init__(self, clock, stop_at=None):
        self.clock, self.stop_at = clock, stop_at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.stop_at:
            raise RuntimeError("power cut")
        self.clock.now += 1.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("steadyear.callbacks.logging.run_record.time", clock)
    return clock


def test_a_resumed_fit_adds_its_seconds_and_a_new_one_does_not(tmp_path, clock):
    def fit(stop_at=None, **settings):
        callbacks = [Tick(clock, stop_at), record()]
        trainer = foreign.trainer(tmp_path, *callbacks, max_epochs=4)
        trainer.fit(foreign.seeded(foreign.Foreign), foreign.loader(), **settings)
        return trainer

    short = foreign.trainer(tmp_path, Tick(clock), record(), max_epochs=2)
    short.fit(foreign.seeded(foreign.Foreign), foreign.loader())
    short.save_checkpoint(tmp_path / "last.ckpt")
    assert (stored(tmp_path)["fit_seconds"], stored(tmp_path)["epochs"]) == (10.0, 2)
    clock.now += 1000
    with pytest.raises(RuntimeError, match="power cut"):
        fit(stop_at=3, ckpt_path=tmp_path / "last.ckpt")
    # Written after every epoch: what was done before the cut is known.
    assert (stored(tmp_path)["fit_seconds"], stored(tmp_path)["epochs"]) == (15.0, 3)
    fit()
    assert (stored(tmp_path)["fit_seconds"], stored(tmp_path)["epochs"]) == (20.0, 4)


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "run.json"
    write_text(path, "old")

    def fail(self, text):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["run.json"]
