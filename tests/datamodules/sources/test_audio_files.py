from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from steadyear.datamodules.sources.audio_files import (
    AudioFiles,
    int16_peak,
    read_mono,
    trim_silence,
)
from steadyear.datamodules.sources.base import AudioProblemError
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank


def _files(*paths: Path, **settings: object) -> AudioFiles:
    return AudioFiles(list(paths), [path.stem for path in paths], **settings)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_formats_are_read_at_the_wanted_rate(write_tone: Callable[..., Path], kind: str) -> None:
    path = write_tone(f"a.{kind}", rate=16000)
    waveform = read_mono(path, 8000)
    assert waveform.dtype == torch.float32
    assert abs(len(waveform) - 8800) < 1200  # MP3 pads
    spectrum = torch.fft.rfft(waveform).abs()
    assert abs(int(spectrum.argmax()) * 8000 / len(waveform) - 440) < 2


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full(100, 0.5), np.full(100, -0.25)
    soundfile.write(tmp_path / "s.wav", np.stack([left, right], 1), 8000, subtype="FLOAT")
    torch.testing.assert_close(read_mono(tmp_path / "s.wav", 8000), torch.full((100,), 0.125))


def _write_nan(path: Path) -> None:
    soundfile.write(path, np.array([0.1, np.nan, 0.2]), 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "file not found"),
        (lambda path: path.write_bytes(b"not audio at all"), "unreadable"),
        (lambda path: soundfile.write(path, np.zeros(0), 8000), "empty"),
        (lambda path: soundfile.write(path, np.zeros(8000), 8000), "silent"),
        (_write_nan, "not finite"),
        (lambda path: soundfile.write(path, np.ones(80), 8000), "too short"),
    ],
)
def test_bad_files_are_named_with_the_reason(
    tmp_path: Path, write: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "bad.wav"
    write(path)
    with pytest.raises(AudioProblemError, match=reason) as caught:
        _files(path, minimum_seconds=0.5).load(0, 8000)
    assert "bad.wav" in str(caught.value)


def test_peak_and_trim(write_tone: Callable[..., Path]) -> None:
    path = write_tone("a.wav", level=0.2)
    plain = _files(path).load(0, 8000)
    done = _files(path, normalize="peak", trim=True).load(0, 8000)
    assert len(plain) == 9600
    assert plain.abs().max() == pytest.approx(0.2, abs=1e-3)
    assert done.abs().max() == 1
    assert abs(len(done) - 8000) <= 2


def test_trim_removes_what_16_bits_cannot_hold() -> None:
    waveform = torch.tensor([0.0, 1e-5, 0.5, 0.0, -0.5, -1e-5])
    torch.testing.assert_close(trim_silence(waveform), waveform[2:5])
    assert len(trim_silence(torch.zeros(4))) == 0


def test_peak_in_16_bits_cuts_off_behind_the_point() -> None:
    integers = torch.tensor([0.0, 1.0, -2.0, 7.0, -20000.0])
    # 32767 / 20000 = 1.638: one step becomes 1.638, and 7 become 11.47.
    expected = torch.tensor([0.0, 1.0, -3.0, 11.0, -32767.0]) / 32767
    torch.testing.assert_close(int16_peak(integers / 32768), expected, rtol=0, atol=1e-9)
    louder = int16_peak(torch.tensor([-1.0, 2 / 32768, 1 / 32768]))
    torch.testing.assert_close(louder, torch.tensor([-32767.0, 1.0, 0.0]) / 32767)
    assert not int16_peak(torch.full((9,), 1e-6)).any()


@pytest.mark.parametrize("name", ["film", "short", "synthetic"])
def test_peak_in_16_bits_and_trimming_reproduce_madmom(shared_data: Path, name: str) -> None:
    path = shared_data / "reference" / f"{name}_22050.wav"
    waveform = _files(path, normalize="int16_peak", trim=True).load(0, 22050)
    integers, _ = soundfile.read(path, dtype="int16")
    scale = np.abs(integers.astype(int)).max() / 32767
    expected = np.trim_zeros((integers / scale).astype(np.int16))
    np.testing.assert_array_equal((waveform.numpy() * 32767).round(), expected)
    spectrogram = LogFilterbank().analyse(waveform[None])[0].numpy()
    reference = np.load(shared_data / "reference" / f"{name}_logspec.npy")
    np.testing.assert_allclose(spectrogram, reference, rtol=0, atol=1e-4)


def test_clip_that_16_bits_cannot_hold_is_silent(tmp_path: Path) -> None:
    # Resampling takes away what lies above 4 kHz.
    tone = 0.5 * np.sin(2 * np.pi * 15000 * np.arange(32000) / 32000) * np.hanning(32000)
    soundfile.write(tmp_path / "high.wav", tone, 32000, subtype="FLOAT")
    with pytest.raises(AudioProblemError, match="silent"):
        _files(tmp_path / "high.wav", normalize="int16_peak").load(0, 8000)


def test_identity_follows_file_and_settings(write_tone: Callable[..., Path]) -> None:
    path = write_tone("a.wav")
    seen = {
        _files(path).identity(0),
        _files(path, normalize="peak").identity(0),
        _files(path, normalize="int16_peak").identity(0),
        _files(path, trim=True).identity(0),
        _files(path, minimum_seconds=2.0).identity(0),
    }
    os.utime(path, ns=(0, 12345))
    seen.add(_files(path).identity(0))
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(0, 12345))
    seen.add(_files(path).identity(0))
    assert len(seen) == 7
