"""Computed clips on disk: one memory-mapped array per clip, written whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from steadyear.datamodules.sources.base import AudioProblemError, AudioSource
from steadyear.foundation.atomic_files import atomic_path
from steadyear.lightning_modules.frontends.base import Frontend

Array = npt.NDArray[Any]

FORMAT_VERSION = 1
FULL_SCALE = 32767


class ClipCache(ABC):
    """What is computed once per clip and then read many times.

    A clip lies in ``<folder>/<kind>/<hh>/<sha256>.npy``; the name is a hash of everything that
    the values depend on, so that nothing is ever out of date. Files are renamed into place:
    several processes may build the same cache, and one that is killed leaves no half-written clip.

    Args:
        source: The clips.
        folder: The folder of all caches.
    """

    kind: ClassVar[str]

    def __init__(self, source: AudioSource, folder: Path) -> None:
        self.source = source
        self.folder = folder / self.kind
        self._paths: dict[int, Path] = {}

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the values depend on, apart from the clip; JSON values."""

    @abstractmethod
    def compute(self, clip: int) -> Array:
        """Compute the values of a clip; raises AudioProblemError if the clip cannot be used."""

    def path(self, clip: int) -> Path:
        """Return the file of a clip; raises AudioProblemError if the clip does not exist."""
        if clip not in self._paths:
            key = {
                "format": FORMAT_VERSION,
                "clip": self.source.identity(clip),
                **self.settings(),
            }
            name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
            self._paths[clip] = self.folder / name[:2] / f"{name}.npy"
        return self._paths[clip]

    def load(self, clip: int) -> Array:
        """Return the memory-mapped values of a clip; compute them if they are missing or damaged.

        Args:
            clip: Position in the source's ``clip_ids``.
        """
        values = self._open(clip)
        if values is None:
            self._store(clip)
            values = np.load(self.path(clip), mmap_mode="r", allow_pickle=False)
        return values

    def build(self, clips: Sequence[int]) -> dict[int, AudioProblemError]:
        """Compute all clips that are not there yet, on all cores.

        Args:
            clips: Positions in the source's ``clip_ids``.

        Returns:
            The clips that cannot be used, and why.
        """
        # One clip per core: torch's own threads inside each clip would only wait for each other.
        workers = torch.get_num_threads()
        with _single_torch_thread(), _pool(workers) as pool:
            outcomes = pool.map(self._ensure, clips)
            bar = tqdm(
                outcomes, f"{self.kind} cache", len(clips), disable=None, delay=2, leave=False
            )
            return {clip: found for clip, found in zip(clips, bar, strict=True) if found}

    def _ensure(self, clip: int) -> AudioProblemError | None:
        try:
            if self._open(clip) is None:
                self._store(clip)
        except AudioProblemError as problem:
            return problem
        return None

    def _open(self, clip: int) -> Array | None:
        path = self.path(clip)
        try:
            values: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            return None
        except (ValueError, EOFError, OSError) as error:
            warnings.warn(f"The cached file {path} is damaged ({error}); rebuilt.", stacklevel=2)
            return None
        return values

    def _store(self, clip: int) -> None:
        path = self.path(clip)
        values = self.compute(clip)
        with atomic_path(path) as partial, partial.open("xb") as file:
            np.save(file, values, allow_pickle=False)


class SpectrogramCache(ClipCache):
    """Raw spectrograms of whole clips, shape (height, width), float32.

    Args:
        source: The clips.
        folder: The folder of all caches.
        frontend: What computes the spectrograms; a copy on the CPU is kept.
    """

    kind = "spectrogram"

    def __init__(self, source: AudioSource, folder: Path, frontend: Frontend) -> None:
        super().__init__(source, folder)
        self.frontend = copy.deepcopy(frontend).cpu().float()

    def settings(self) -> dict[str, Any]:
        """Return class, sampling rate and settings of the front end."""
        kind = type(self.frontend)
        return {
            "frontend": f"{kind.__module__}.{kind.__qualname__}",
            "sample_rate": self.frontend.sample_rate,
            "settings": self.frontend.settings,
        }

    def compute(self, clip: int) -> Array:
        """Compute the raw spectrogram of a clip."""
        waveform = self.source.load(clip, self.frontend.sample_rate)
        try:
            with torch.no_grad():
                values: Array = self.frontend.analyse(waveform[None])[0].numpy()
        except ValueError as error:  # too short for this front end
            raise AudioProblemError(self.source.clip_ids[clip], str(error)) from error
        return values.astype(np.float32, copy=False)


class WaveformCache(ClipCache):
    """Whole clips as 16-bit integers, shape (time,): steps of 1/32767, clipped beyond full scale.

    Args:
        source: The clips.
        folder: The folder of all caches.
        sample_rate: Sampling rate in Hz.
    """

    kind = "waveform"

    def __init__(self, source: AudioSource, folder: Path, sample_rate: int) -> None:
        super().__init__(source, folder)
        self.sample_rate = sample_rate

    def settings(self) -> dict[str, Any]:
        """Return the sampling rate."""
        return {"sample_rate": self.sample_rate}

    def compute(self, clip: int) -> Array:
        """Load and quantise a clip."""
        waveform = self.source.load(clip, self.sample_rate).clamp(-1, 1)
        values: Array = (waveform * FULL_SCALE).round().to(torch.int16).numpy()
        return values


@contextmanager
def _single_torch_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        # An interrupted build must not first finish all clips that wait.
        pool.shutdown(cancel_futures=True)
