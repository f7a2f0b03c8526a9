"""A killed run resumes as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steadyear.callbacks import AdditionalStep
from tests.callbacks.resumable_fit import fit

HERE = Path(__file__).resolve().parents[1]


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": str(HERE.parents[1])}
    killed = subprocess.run(
        [sys.executable, str(HERE / "resumable_fit.py"), str(tmp_path / "killed")],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    state = torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1
    torch.rand(5)  # whatever the process did before must not matter
    resumed = fit(tmp_path / "killed", resume=True)
    assert torch.equal(resumed, fit(tmp_path / "whole"))


@pytest.mark.parametrize("epoch", [0, 2])
def test_additional_steps_resume_too(tmp_path, epoch):
    class StopError(RuntimeError):
        pass

    class Recipe(AdditionalStep):
        def after_batch(self, trainer, batch, adversary, stepped):
            super().after_batch(trainer, batch, adversary, stepped)
            if trainer.current_epoch == epoch + 1:
                raise StopError

    with pytest.raises(StopError):
        fit(tmp_path / "stopped", Recipe(2))
    resumed = fit(tmp_path / "stopped", AdditionalStep(2), resume=True)
    assert torch.equal(resumed, fit(tmp_path / "whole", AdditionalStep(2)))
