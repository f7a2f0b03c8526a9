from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from steadyear.datamodules.sources.base import AudioSource
from steadyear.datamodules.sources.cache import SpectrogramCache, WaveformCache
from steadyear.lightning_modules import LogMel


class Slow(AudioSource):
    """Twelve clips that take their time."""

    clip_ids: ClassVar[list[str]] = [str(i) for i in range(12)]

    def identity(self, clip: int) -> str:
        return f"slow {clip}"

    def load(self, clip: int, sample_rate: int) -> torch.Tensor:
        time.sleep(0.02)
        return torch.full((100_000,), clip / 100)


def _build(folder: Path) -> None:
    torch.set_num_threads(1)
    cache = WaveformCache(Slow(), folder, 1000)
    assert cache.build(range(12)) == {}
    assert all((cache.load(i) == round(i / 100 * 32767)).all() for i in range(12))


def test_processes_may_build_together_and_be_killed(tmp_path: Path) -> None:
    """Two processes race, one is killed amid its work: no torn clip is left, all are there."""
    context = multiprocessing.get_context("fork")
    victim, survivor = (context.Process(target=_build, args=(tmp_path,)) for _ in range(2))
    victim.start()
    survivor.start()
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("*.npy")) and time.monotonic() < deadline:
        time.sleep(0.005)
    victim.kill()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    for path in tmp_path.rglob("*.npy"):
        assert np.load(path).shape == (100_000,)
    survivor.join(60)
    assert survivor.exitcode == 0
    assert len(list(tmp_path.rglob("*.npy"))) == 12


def test_a_good_rebuild_follows_a_killed_one(tmp_path: Path) -> None:
    victim = multiprocessing.get_context("fork").Process(target=_build, args=(tmp_path,))
    victim.start()
    while not list(tmp_path.rglob("*.npy")):
        time.sleep(0.005)
    victim.kill()
    victim.join()
    assert len(list(tmp_path.rglob("*.npy"))) < 12
    _build(tmp_path)


@pytest.fixture
def cache(
    tmp_path: Path, ramp_source: Callable[..., Any], block_means: Callable[..., Any]
) -> SpectrogramCache:
    return SpectrogramCache(ramp_source(4, {2}), tmp_path, block_means())


def test_build_computes_each_clip_once_and_reports_bad_ones(cache: SpectrogramCache) -> None:
    problems = cache.build(range(4))
    assert list(problems) == [2]
    assert str(problems[2]) == "ramp2: bad on purpose"
    assert sorted(cache.source.loaded) == [0, 1, 3]
    assert list(cache.build(range(4))) == [2]
    assert len(cache.source.loaded) == 3


def test_values_are_the_raw_spectrogram(cache: SpectrogramCache) -> None:
    cache.build([0])
    values = cache.load(0)
    assert isinstance(values, np.memmap)
    assert values.dtype == np.float32
    waveform = cache.source.load(0, 1000)
    np.testing.assert_allclose(values, cache.frontend.analyse(waveform[None])[0], rtol=1e-6)


@pytest.mark.parametrize("length", [0, 20, -1])
@pytest.mark.parametrize("through", ["load", "build"])
def test_damaged_file_is_rebuilt_with_a_warning(
    cache: SpectrogramCache, length: int, through: str
) -> None:
    expected = np.array(cache.load(0))
    path = cache.path(0)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.warns(UserWarning, match="damaged"):
        cache.load(0) if through == "load" else cache.build([0])
    np.testing.assert_array_equal(cache.load(0), expected)


def test_failed_write_leaves_nothing(
    cache: SpectrogramCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        cache.build([0])
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def test_key_follows_front_end_and_clip(
    tmp_path: Path, ramp_source: Callable[..., Any], block_means: Callable[..., Any]
) -> None:
    source, frontend = ramp_source(2, set()), block_means()
    fitted = block_means(1.0, 2.0)

    class Other(type(frontend)):
        pass

    class Changed(type(frontend)):
        settings = {"block": 50}  # noqa: RUF012

    Changed.__qualname__ = type(frontend).__qualname__
    Changed.__module__ = type(frontend).__module__
    makers = [frontend, Other(1000), type(frontend)(2000), Changed(1000)]
    caches = [SpectrogramCache(source, tmp_path, maker) for maker in makers]
    assert len({cache.path(0) for cache in caches} | {caches[0].path(1)}) == 5
    # The statistics come after the cache.
    assert SpectrogramCache(source, tmp_path, fitted).path(0) == caches[0].path(0)


def test_waveforms_are_rounded_to_sixteen_bits(
    tmp_path: Path, ramp_source: Callable[..., Any]
) -> None:
    cache = WaveformCache(ramp_source(4, set()), tmp_path, 1000)
    cache.build([3])
    values = cache.load(3)
    assert values.dtype == np.int16
    np.testing.assert_allclose(values / 32767, cache.source.load(3, 1000), atol=0.5 / 32767)


def test_threads_are_given_back(cache: SpectrogramCache) -> None:
    before = torch.get_num_threads()
    cache.build([0])
    assert torch.get_num_threads() == before


def test_a_clip_too_short_for_the_front_end_is_reported_by_name(tmp_path: Path) -> None:
    cache = SpectrogramCache(Slow(), tmp_path, LogMel(1024, 320, 32, sample_rate=1000))
    cache.source.load = lambda clip, rate: torch.ones(100 if clip == 3 else 1000)
    problems = cache.build(range(12))
    assert list(problems) == [3]
    assert "3: " in str(problems[3])
    assert "too short" in str(problems[3])
