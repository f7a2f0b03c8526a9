"""The front end of the music emotion models against madmom's values and closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from steadyear.lightning_modules.frontends import LogFilterbank
from steadyear.lightning_modules.frontends.triangular_filterbank import triangular_filterbank

TINY = {"sample_rate": 800, "frames_per_second": 31.3, "frame_size": 64, "bands_per_octave": 3}


def noise(batch: int, num_samples: int, **options: object) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(batch, num_samples, generator=generator, **options)


def published_preparation(path: Path) -> torch.Tensor:
    """Normalise to the peak in 16-bit integers, trim zeros, bring to full scale 1."""
    samples, _ = sf.read(path, dtype="int16")
    peak = np.abs(samples.astype(int)).max() / 32767
    return torch.from_numpy(np.trim_zeros((samples / peak).astype(np.int16)) / 32767)[None]


@pytest.mark.parametrize("name", ["film", "short", "synthetic"])
def test_equals_madmom(shared_data: Path, name: str) -> None:
    waveform = published_preparation(shared_data / f"reference/{name}_22050.wav")
    expected = torch.from_numpy(np.load(shared_data / f"reference/{name}_logspec.npy"))
    torch.testing.assert_close(LogFilterbank()(waveform)[0, 0], expected, rtol=0, atol=1e-5)


def test_filterbank_equals_madmom(shared_data: Path) -> None:
    reference = np.load(shared_data / "reference/log_filterbank.npz")
    filterbank = LogFilterbank().filterbank
    torch.testing.assert_close(
        filterbank, torch.from_numpy(reference["filterbank"]), rtol=0, atol=1e-7
    )


def test_published_shape() -> None:
    frontend = LogFilterbank()
    output = frontend(noise(2, 220500))
    assert output.shape == (2, 1, 313, 149)
    assert output.shape[frontend.time_dim] == 313
    assert output.dtype == torch.float32
    assert frontend.hop == pytest.approx(704.4728434504792)


@pytest.mark.parametrize("num_samples", [1, 704, 705, 706, 220499, 220500, 220501, 661500])
def test_number_of_frames_is_every_hop_begun(num_samples: int) -> None:
    assert LogFilterbank().num_frames(num_samples) == math.ceil(num_samples / (22050 / 31.3))


def test_frames_start_at_the_floor_of_the_fractional_hop() -> None:
    ramp = torch.arange(500_000, dtype=torch.float64)[None]
    starts = LogFilterbank().frame(ramp)[0, :, 0]
    assert starts.tolist() == [math.floor(i * 22050 / 31.3) for i in range(len(starts))]


def test_tone_has_its_level_in_the_band_of_its_frequency() -> None:
    # A tone on bin 100 has magnitude A * sum(window) / 2 there and half of it in the bins beside.
    time = torch.arange(22050, dtype=torch.float64)
    tone = torch.sin(2 * torch.pi * 100 * time / 2048)[None]
    frontend = LogFilterbank().double()
    magnitude = torch.zeros(1024, dtype=torch.float64)
    magnitude[99:102] = torch.tensor([0.5, 1.0, 0.5]) * frontend.window.sum() / 2
    expected = torch.log10(1 + magnitude @ frontend.filterbank)
    strong = expected > 0.1
    assert strong.sum() >= 2
    torch.testing.assert_close(frontend(tone)[0, 0, 5][strong], expected[strong], rtol=0, atol=1e-2)


def test_filters_sum_to_one_and_have_distinct_centres() -> None:
    filters = triangular_filterbank(22050, 2048, 24, 20.0, 16000.0)
    torch.testing.assert_close(filters.sum(dim=0), torch.ones(149, dtype=torch.float64))
    assert len(filters.argmax(dim=0).unique()) == 149


def test_gradient_is_right() -> None:
    frontend = LogFilterbank(**TINY, fmin=50, mean=0.1, std=0.5).double()
    waveform = noise(2, 90, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(frontend, waveform)


def test_gradient_in_digital_silence_is_finite() -> None:
    waveform = noise(1, 6000)
    waveform[:, 2000:] = 0
    waveform.requires_grad_()
    output = LogFilterbank()(waveform)
    (gradient,) = torch.autograd.grad(output.sum(), waveform)
    assert gradient.isfinite().all()
    assert gradient[0, 1:1000].abs().min() > 0
    assert output[0, 0, -1].abs().max() < 1e-6


def test_alone_equals_in_batch() -> None:
    frontend = LogFilterbank()
    batch = noise(3, 9000) * torch.tensor([[1.0], [1e-3], [10.0]])
    for clip, together in zip(batch, frontend(batch), strict=True):
        torch.testing.assert_close(frontend(clip[None])[0], together, rtol=0, atol=1e-6)


def test_clip_shorter_than_a_frame_is_padded_with_zeros() -> None:
    frontend = LogFilterbank()
    short = noise(1, 100)
    padded = torch.nn.functional.pad(short, (0, 3000))
    output = frontend(short)
    assert output.shape == (1, 1, 1, 149)
    assert torch.equal(output, frontend(padded)[:, :, :1])


def test_statistics_give_z_units_and_only_they_are_saved() -> None:
    raw, fitted = LogFilterbank(), LogFilterbank(mean=0.3, std=0.2)
    waveform = noise(1, 5000)
    torch.testing.assert_close(fitted(waveform), (raw(waveform) - 0.3) / 0.2)
    assert torch.equal(raw(waveform)[:, 0], raw.analyse(waveform))
    assert set(fitted.state_dict()) == {"mean", "std", "fitted"}
    assert raw.settings == fitted.settings


@pytest.mark.parametrize("shape", [(5000,), (1, 1, 5000), (2, 0)])
def test_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(batch, time\)"):
        LogFilterbank()(torch.zeros(shape))


def test_integer_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        LogFilterbank()(torch.zeros(1, 5000, dtype=torch.int16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fmin": 0.0}, "0 < fmin"),
        ({"fmin": 100.0, "fmax": 101.0}, "hold no filter"),
        ({"frames_per_second": 0.0}, "frames_per_second"),
        ({"frame_size": 2047}, "frame_size"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogFilterbank(**options)
