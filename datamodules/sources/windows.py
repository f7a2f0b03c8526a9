"""Placing windows in recordings and reading them by seeking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.functional import resample

from steadyear.datamodules.sources.base import AudioProblemError

Place = Callable[[float], tuple[float, float]]
"""From the duration of a recording to the start and the end of a window, all in seconds."""


@dataclass(frozen=True)
class WindowRule:
    """Where a window lies in its recording, as in BirdSet (Rauch et al., ICLR 2025).

    An event that is shorter than ``extension`` is extended to both sides, and moved back into the
    recording where it would leave it. The window lies anywhere within the extended event.

    Args:
        seconds: Length of a window.
        extension: Length in seconds to which events are extended.

    Raises:
        ValueError: If ``seconds`` is not positive or ``extension`` is negative.
    """

    seconds: float = 5.0
    extension: float = 8.0

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.seconds <= 0 or self.extension < 0:
            raise ValueError("A window needs seconds > 0 and extension >= 0.")

    def region(self, start: float, end: float, duration: float) -> tuple[float, float]:
        """Return the extended event.

        Args:
            start: Start of the event.
            end: End of the event; may be infinite.
            duration: Duration of the recording.
        """
        start, end = min(start, duration), min(end, duration)
        missing = self.extension - (end - start)
        if missing <= 0:
            return start, end
        low = max(0.0, min(start - missing / 2, duration - self.extension))
        return low, min(duration, low + self.extension)

    def random(self, start: float, end: float, duration: float, draw: float) -> tuple[float, float]:
        """Return a window within the extended event.

        Args:
            start: Start of the event.
            end: End of the event.
            duration: Duration of the recording.
            draw: Random number in 0..1 that chooses the place.
        """
        low, high = self.region(start, end, duration)
        first = low + draw * max(0.0, high - self.seconds - low)
        return self._within(first, duration)

    def central(self, start: float, end: float, duration: float) -> tuple[float, float]:
        """Return the window in the centre of the extended event.

        Args:
            start: Start of the event.
            end: End of the event.
            duration: Duration of the recording.
        """
        return self.random(start, end, duration, 0.5)

    def fixed(self, start: float, end: float) -> tuple[float, float]:
        """Return a clip itself, cut off at the length of a window.

        Args:
            start: Start of the clip.
            end: End of the clip.
        """
        return start, min(end, start + self.seconds)

    def _within(self, first: float, duration: float) -> tuple[float, float]:
        # Without an extension an event may be shorter than the window that is read around it.
        first = max(0.0, min(first, duration - self.seconds))
        return first, first + self.seconds


def read_window(path: Path, place: Place, seconds: float, sample_rate: int) -> Tensor:
    """Read one window of a recording; only that part of the file is decoded.

    Channels are averaged, another rate is resampled, and a window that is too short is followed
    by zeros.

    Args:
        path: A WAV, FLAC, OGG or MP3 file.
        place: Says where the window lies.
        seconds: Length of the result.
        sample_rate: Sampling rate in Hz of the result.

    Returns:
        Samples, shape (time,), float32.

    Raises:
        AudioProblemError: If the file is missing, unreadable or damaged, or the window lies behind
            its end.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate, mono = int(file.samplerate), _read(file, path, place)
    except FileNotFoundError as error:
        raise AudioProblemError(str(path), "file not found") from error
    except (RuntimeError, OSError) as error:
        raise AudioProblemError(str(path), f"unreadable ({error})") from error
    window: Tensor = resample(torch.from_numpy(mono), rate, sample_rate)
    samples = round(seconds * sample_rate)
    return pad(window[:samples], (0, max(0, samples - len(window))))


def _read(file: soundfile.SoundFile, path: Path, place: Place) -> npt.NDArray[np.float32]:
    start, end = place(file.frames / file.samplerate)
    first = round(start * file.samplerate)
    count = min(round((end - start) * file.samplerate), file.frames - first)
    if file.frames == 0:
        raise AudioProblemError(str(path), "empty")
    if count <= 0:
        seconds = file.frames / file.samplerate
        raise AudioProblemError(
            str(path), f"no sound from {start:g} to {end:g} s: it is {seconds:g} s long"
        )
    file.seek(first)
    samples: npt.NDArray[np.float32] = file.read(count, "float32", always_2d=True)
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if len(mono) < count:
        raise AudioProblemError(
            str(path), f"damaged: it breaks off at {(first + len(mono)) / file.samplerate:g} s"
        )
    if not np.isfinite(mono).all():
        raise AudioProblemError(str(path), "contains samples that are not finite")
    return mono
