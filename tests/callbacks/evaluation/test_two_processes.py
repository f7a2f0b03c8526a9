"""Two processes on the CPU: equal weights, and the numbers of one process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from tests.callbacks import foreign_modules as foreign
from tests.callbacks.two_processes import CASES, Rated, evaluate, regression, sgd_steps

HERE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of both processes, which do everything once."""
    folder = tmp_path_factory.mktemp("two_processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": "2",
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    logs = [(folder / f"log{rank}.txt").open("w+") for rank in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "two_processes.py"), str(folder)],
            env={**os.environ, **common, "LOCAL_RANK": str(rank)},
            stdout=logs[rank],
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    try:
        codes = [process.wait(timeout=180) for process in processes]
    finally:
        for process, log in zip(processes, logs, strict=True):
            process.kill()
            process.wait()
            log.close()
    assert codes == [0, 0], (folder / "log0.txt").read_text()[-3000:]
    return folder


@pytest.fixture(scope="module")
def ranks(folder):
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_both_processes_end_with_the_same_weights(ranks, case):
    assert torch.equal(ranks[0][case], ranks[1][case])
    start = foreign.weights(foreign.seeded(foreign.Foreign))
    assert (ranks[0][case] - start).abs().max() > 1e-3


def test_additional_step_averages_gradients_over_processes(tmp_path, ranks):
    joint = sgd_steps(tmp_path, foreign.loader(32, 8))
    torch.testing.assert_close(ranks[0]["sgd"], joint, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["foreign", "ours"])
def test_robustness_table_is_that_of_one_process(tmp_path, folder, kind):
    module = foreign.seeded(foreign.Foreign) if kind == "foreign" else regression()
    loader = foreign.loader(33, 4) if kind == "foreign" else DataLoader(Rated(), batch_size=4)
    evaluate(tmp_path, module, loader)
    one = pd.read_parquet(tmp_path / "robustness.parquet")
    two = pd.read_parquet(folder / kind / "robustness.parquet")
    assert two.groupby(["attack", "budget"])["index"].apply(list).map(len).tolist() == [33] * 4
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-6)


def test_metrics_are_those_of_one_process(tmp_path, ranks):
    trainer = evaluate(tmp_path, regression(), DataLoader(Rated(), batch_size=4))
    one = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert {
        "test/pearson",
        "test/concepts/r2",
        "test/pgd@0.3/pearson",
        "test/worst@0.1/mae",
    } <= set(one)
    for rank in ranks:
        assert {name: rank["metrics"][name] for name in one} == pytest.approx(one, abs=1e-6)
