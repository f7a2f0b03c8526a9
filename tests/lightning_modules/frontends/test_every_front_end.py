"""What every front end promises beside its values."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from steadyear.lightning_modules.frontends import (
    AudioProtoPNetLogMel,
    BirdSetLogMel,
    Frontend,
    LogFilterbank,
)


@pytest.fixture(params=[LogFilterbank, BirdSetLogMel, AudioProtoPNetLogMel])
def frontend(request: pytest.FixtureRequest) -> Frontend:
    made: Frontend = request.param(mean=0.3, std=0.2)
    return made


@pytest.fixture
def waveform() -> torch.Tensor:
    return 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))


def test_compiles_into_one_graph(frontend: Frontend, waveform: torch.Tensor) -> None:
    compiled = torch.compile(frontend, backend="eager", fullgraph=True)
    assert torch.equal(compiled(waveform), frontend(waveform))


def test_copies_keep_the_values(frontend: Frontend, waveform: torch.Tensor) -> None:
    for twin in (copy.deepcopy(frontend), pickle.loads(pickle.dumps(frontend))):
        assert torch.equal(twin(waveform), frontend(waveform))


def test_stays_in_single_precision_under_autocast(
    frontend: Frontend, waveform: torch.Tensor
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = frontend(waveform)
    assert output.dtype == torch.float32
    assert torch.equal(output, frontend(waveform))
