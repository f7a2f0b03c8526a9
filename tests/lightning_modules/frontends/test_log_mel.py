"""The front ends of the bird sound models against the reference and torchaudio's own transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio

from steadyear.lightning_modules.frontends import AudioProtoPNetLogMel, BirdSetLogMel, LogMel

PUBLISHED = [
    (BirdSetLogMel, "birdset_convnext", (128, 501)),
    (AudioProtoPNetLogMel, "audioprotopnet", (256, 626)),
]
TINY = {"n_fft": 64, "hop_length": 20, "n_mels": 6, "sample_rate": 800}


def noise(batch: int, num_samples: int, **options: object) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(batch, num_samples, generator=generator, **options)


@pytest.mark.parametrize(("frontend_class", "name", "shape"), PUBLISHED)
def test_equals_reference(
    shared_data: Path, frontend_class: type[LogMel], name: str, shape: tuple[int, int]
) -> None:
    waveform = torch.from_numpy(np.load(shared_data / "reference/logmel_waveform_32000.npy"))[None]
    expected = torch.from_numpy(np.load(shared_data / f"reference/logmel_{name}.npy"))
    frontend = frontend_class()
    output = frontend(waveform)
    assert output.shape == (1, 1, *shape)
    assert output.shape[frontend.time_dim] == frontend.num_frames(160_000)
    # The reference was rounded to fp32 on the way: it lies 1.3e-4 from its own value in fp64.
    torch.testing.assert_close(output[0, 0], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize(("frontend_class", "name", "shape"), PUBLISHED)
def test_equals_torchaudio_in_decibels(
    frontend_class: type[LogMel], name: str, shape: tuple[int, int]
) -> None:
    frontend = frontend_class(mean=None, std=None)
    waveform = noise(1, 40_000)
    mel = torchaudio.transforms.MelSpectrogram(
        32000, n_fft=frontend.n_fft, hop_length=frontend.hop_length, n_mels=frontend.n_mels
    )
    decibels = torchaudio.transforms.AmplitudeToDB("power", top_db=80.0)(mel(waveform))
    torch.testing.assert_close(frontend(waveform)[0], decibels, rtol=0, atol=2e-3)


def test_one_z_unit_is_the_published_number_of_decibels() -> None:
    waveform = noise(1, 40_000)
    for frontend, std in ((BirdSetLogMel(), 4.569), (AudioProtoPNetLogMel(), 13.162)):
        louder = frontend(10 ** (1 / 20) * waveform) - frontend(waveform)
        torch.testing.assert_close(louder, torch.full_like(louder, 1 / std), rtol=0, atol=1e-4)


def test_silence_is_the_floor() -> None:
    output = AudioProtoPNetLogMel()(torch.zeros(1, 5000))
    torch.testing.assert_close(output, torch.full_like(output, (-100 + 13.369) / 13.162))


def test_quiet_clip_is_unchanged_beside_a_loud_one() -> None:
    frontend = BirdSetLogMel()
    quiet, loud = 1e-4 * noise(1, 20_000), noise(1, 20_000)
    together = frontend(torch.cat([quiet, 10 * loud]))
    torch.testing.assert_close(frontend(quiet)[0], together[0], rtol=0, atol=1e-4)


def test_top_db_limits_the_range_of_each_clip() -> None:
    waveform = noise(2, 400) * torch.tensor([[1.0], [1e-2]])
    waveform[:, 200:] *= 1e-3
    limited, free = LogMel(**TINY, top_db=30.0)(waveform), LogMel(**TINY, top_db=None)(waveform)
    loudest = free.amax(dim=(-2, -1), keepdim=True)
    assert ((loudest - free).amax(dim=(1, 2, 3)) > 40).all()
    assert torch.equal(limited, torch.maximum(free, loudest - 30))


@pytest.mark.parametrize("top_db", [None, 80.0, 15.0])
def test_gradient_is_right(top_db: float | None) -> None:
    frontend = LogMel(**TINY, top_db=top_db, mean=-10.0, std=5.0).double()
    waveform = noise(2, 90, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(frontend, waveform)


def test_gradient_in_digital_silence_is_finite() -> None:
    waveform = noise(1, 6000)
    waveform[:, 2000:] = 0
    waveform.requires_grad_()
    (gradient,) = torch.autograd.grad(BirdSetLogMel()(waveform).sum(), waveform)
    assert gradient.isfinite().all()
    assert gradient[0, :1000].abs().max() > 0


@pytest.mark.parametrize("num_samples", [513, 640, 959, 960, 961])
def test_number_of_frames(num_samples: int) -> None:
    for frontend in (BirdSetLogMel(), LogMel(**{**TINY, "n_fft": 63})):
        assert frontend(noise(1, num_samples)).shape[-1] == frontend.num_frames(num_samples)


def test_double_precision_waveform_gives_single_precision() -> None:
    waveform = noise(1, 5000, dtype=torch.float64)
    assert BirdSetLogMel()(waveform).dtype == torch.float32


def test_presets_can_be_fitted_anew_and_save_only_their_statistics() -> None:
    frontend = BirdSetLogMel(mean=None, std=None)
    waveform = noise(1, 5000)
    assert not frontend.fitted
    assert torch.equal(frontend(waveform)[:, 0], frontend.analyse(waveform))
    assert set(frontend.state_dict()) == {"mean", "std", "fitted"}
    assert frontend.settings == BirdSetLogMel().settings
    assert frontend.settings != AudioProtoPNetLogMel().settings


def test_clip_too_short_to_reflect_is_refused() -> None:
    assert BirdSetLogMel()(noise(1, 513)).isfinite().all()
    with pytest.raises(ValueError, match="too short for n_fft=1024"):
        BirdSetLogMel()(noise(1, 512))


@pytest.mark.parametrize("shape", [(5000,), (1, 1, 5000)])
def test_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(batch, time\)"):
        BirdSetLogMel()(torch.zeros(shape))


@pytest.mark.parametrize("name", ["n_fft", "hop_length", "n_mels", "top_db"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        LogMel(**{**TINY, name: 0})


def test_subtracting_the_median_removes_level_and_steady_noise():
    torch.manual_seed(0)
    frontend = LogMel(256, 128, 16, sample_rate=8000, mean=0.0, std=1.0, subtract_median=True)
    plain = LogMel(256, 128, 16, sample_rate=8000, mean=0.0, std=1.0)
    x = 0.1 * torch.randn(2, 8000)
    raw, less = plain.analyse(x), frontend.analyse(x)
    expected = raw - torch.quantile(raw, 0.5, dim=-1, keepdim=True, interpolation="lower")
    torch.testing.assert_close(less, expected)
    # Much fainter: the same spectrogram.
    torch.testing.assert_close(frontend.analyse(0.01 * x), less, atol=1e-3, rtol=0)
    assert frontend.settings != plain.settings
    assert frontend.from_power(plain.power(x)).median(-1).values.abs().max() == 0
