"""Audio files as mono clips, with the checks that keep bad ones out of training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor
from torchaudio.functional import resample

from steadyear.datamodules.sources.base import AudioProblemError, AudioSource

Normalize = Literal["none", "peak", "int16_peak"]

# One step of a 16-bit recording: what is below it was digital silence before decoding and resampling.
SILENCE = 1 / 32767


def files_of_clips(folder: Path, pattern: str, ids: list[str]) -> list[Path]:
    """The file of every clip.

    Args:
        folder: Folder of the audio files.
        pattern: Name of a clip's file, such as ``{id}.ogg``.
        ids: Ids of the clips.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the pattern cannot be used, or gives several clips one file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder of audio files {folder} does not exist.")
    try:
        names = [pattern.format(id=clip_id) for clip_id in ids]
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"file_pattern {pattern!r} is not usable ({error}); write it like '{{id}}.ogg'."
        ) from error
    if len(set(names)) < len(names):
        raise ValueError(f"file_pattern {pattern!r} gives several clips one file; use {{id}}.")
    return [folder / name for name in names]


def read_mono(path: Path, sample_rate: int) -> Tensor:
    """Read a WAV, FLAC, OGG or MP3 file, mix it to mono and resample it.

    Args:
        path: The file.
        sample_rate: Sampling rate in Hz of the result.

    Returns:
        Samples, shape (time,), float32.

    Raises:
        AudioProblemError: If the file is missing, unreadable, empty, silent or not finite.
    """
    if not path.is_file():
        raise AudioProblemError(str(path), "file not found")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise AudioProblemError(str(path), f"unreadable ({error})") from error
    mono = samples.mean(axis=1)
    _check_samples(path, mono)
    resampled: Tensor = resample(torch.from_numpy(mono), rate, sample_rate)
    return resampled


def _check_samples(path: Path, mono: npt.NDArray[np.float32]) -> None:
    if mono.size == 0:
        raise AudioProblemError(str(path), "empty")
    if not np.isfinite(mono).all():
        raise AudioProblemError(str(path), "contains samples that are not finite")
    if np.abs(mono).max() < SILENCE:
        raise AudioProblemError(str(path), "silent")


def trim_silence(waveform: Tensor) -> Tensor:
    """Cut leading and trailing samples below one step of a 16-bit recording.

    Args:
        waveform: Samples, full scale 1, shape (time,).
    """
    loud = (waveform.abs() >= SILENCE).nonzero()
    return waveform[int(loud[0]) : int(loud[-1]) + 1] if len(loud) else waveform[:0]


def int16_peak(waveform: Tensor) -> Tensor:
    """Scale 16-bit integers to their peak and cut off what is behind the point, as madmom does.

    Zeros at both ends of the result are what ``numpy.trim_zeros`` would cut from madmom's signal
    (Böck et al., 2016); values below one step, which rounding would keep, become zeros.

    Args:
        waveform: Samples, full scale 1, shape (time,).

    Returns:
        Multiples of 1/32767, the largest of them 1 within one step; zeros if all samples round to
        zero.
    """
    integers = np.clip(np.rint(waveform.double().numpy() * 32768), -32768, 32767)
    # The order of the operations decides which values are cut off one step lower.
    scale = np.abs(integers).max() / 32767
    scaled = np.trunc(integers / scale) if scale else integers
    return torch.from_numpy((scaled / 32767).astype(np.float32))


class AudioFiles(AudioSource):
    """Clips in audio files.

    Args:
        paths: File of each clip.
        clip_ids: Name of each clip.
        normalize: ``peak`` scales each clip to a peak of 1, ``int16_peak`` does so in steps of 16
            bits, see ``int16_peak``, and ``none`` leaves its level.
        trim: Whether leading and trailing digital silence is cut.
        minimum_seconds: Clips shorter than this, after trimming, are refused.
    """

    def __init__(
        self,
        paths: list[Path],
        clip_ids: list[str],
        normalize: Normalize = "none",
        trim: bool = False,
        minimum_seconds: float = 0.0,
    ) -> None:
        self.paths = paths
        self.clip_ids = clip_ids
        self.normalize = normalize
        self.trim = trim
        self.minimum_seconds = minimum_seconds

    def identity(self, clip: int) -> str:
        """Return path, size, time of change and settings; see the base class."""
        path = self.paths[clip].resolve()
        try:
            stat = path.stat()
        except OSError as error:
            raise AudioProblemError(str(path), "file not found") from error
        settings = f"{self.normalize}|{self.trim}|{self.minimum_seconds}"
        return f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{settings}"

    def load(self, clip: int, sample_rate: int) -> Tensor:
        """Read, check, normalise and trim one file; see the base class."""
        path = self.paths[clip]
        waveform = read_mono(path, sample_rate)
        if self.normalize == "peak":
            waveform = waveform / waveform.abs().max()
        elif self.normalize == "int16_peak":
            waveform = int16_peak(waveform)
        if self.trim:
            waveform = trim_silence(waveform)
        if not waveform.any():
            raise AudioProblemError(str(path), "silent")
        seconds = len(waveform) / sample_rate
        if seconds < self.minimum_seconds:
            raise AudioProblemError(
                str(path),
                f"too short ({seconds:.2f} s, at least {self.minimum_seconds:g} s needed)",
            )
        return waveform
