"""Corruptions: five severities, the same length, numbers of the clip's own generator."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from scipy.signal import welch

from steadyear.datamodules.datasets.synthetic_birds.data_module import SyntheticBirdClips
from steadyear.datamodules.transforms.corruptions import (
    AUDIO_C,
    SEVERITIES,
    Distance,
    Insects,
    Rain,
    Reverberation,
    Wind,
)
from steadyear.datamodules.transforms.corruptions.recorder.low_sample_rate import Resampling

RATE = 22050
NOISES = ("wind", "rain", "insects")
EVERY = pytest.mark.parametrize("name", AUDIO_C)


@pytest.fixture(scope="module")
def clips():
    source = SyntheticBirdClips((2, 0, 2), 0)
    return [source.load(clip, RATE)[: 2 * RATE] for clip in range(4)]


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def corrupted(name, clip, severity, seed=3, rate=RATE):
    return AUDIO_C[name](clip, rate, severity, generator(seed))


def snr(clean, other):
    return float(10 * torch.log10(clean.square().sum() / (other - clean).square().sum()))


def test_the_benchmark_has_ten_corruptions_that_know_their_names():
    assert len(AUDIO_C) == 10
    assert all(corruption.name == name for name, corruption in AUDIO_C.items())
    assert all(len(corruption.levels) == len(SEVERITIES) for corruption in AUDIO_C.values())


@EVERY
def test_every_severity_is_farther_from_the_clean_clip(name, clips):
    ratios = [[snr(c, corrupted(name, c, s)) for c in clips] for s in SEVERITIES]
    means = np.mean(ratios, axis=1)
    assert (np.diff(means) < -0.05).all(), means
    assert (np.diff(ratios, axis=0) < 0.3).all(), ratios


@EVERY
@pytest.mark.parametrize("rate", [8000, 16000, 32000, 44100])
def test_length_type_and_finite_values_at_every_rate(name, rate):
    clip = 0.3 * torch.randn(rate // 4 + 1, generator=generator())
    for severity in SEVERITIES:
        changed = corrupted(name, clip, severity, rate=rate)
        assert changed.shape == clip.shape
        assert changed.dtype == torch.float32
        assert changed.isfinite().all()
        assert not torch.equal(changed, clip)


@EVERY
@pytest.mark.filterwarnings("ignore:n_fft")
@pytest.mark.parametrize("length", [1, 5, 700])
def test_silence_stays_silent_and_short_clips_are_taken(name, length):
    for severity in (1, 5):
        assert corrupted(name, torch.zeros(length), severity).abs().max() == 0
        assert corrupted(name, torch.ones(length), severity).isfinite().all()


@EVERY
def test_the_generator_decides_and_global_ones_are_left_alone(name, clips):
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    clean = clips[0].clone()
    first, again = corrupted(name, clean, 4), corrupted(name, clean, 4)
    assert torch.equal(first, again)
    assert torch.equal(clean, clips[0])
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    other = corrupted(name, clean, 4, seed=4)
    drawn = {*NOISES, "distance", "reverberation", "time_masking"}
    assert torch.equal(first, other) == (name not in drawn)


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_ratio_of_its_level_and_is_the_same_at_all(name, clips):
    for severity, level in zip(SEVERITIES, AUDIO_C[name].levels, strict=True):
        assert snr(clips[2], corrupted(name, clips[2], severity)) == pytest.approx(level, abs=0.01)
    mild, strong = (corrupted(name, clips[2], s) - clips[2] for s in (1, 5))
    assert np.corrcoef(mild, strong)[0, 1] > 0.999


def spectrum(corruption, rate=32000):
    noise = corruption.noise(10 * rate, rate, np.random.default_rng(0))
    return noise, *welch(noise, rate, nperseg=4096)


def test_wind_falls_with_the_square_of_the_frequency():
    _, hz, power = spectrum(Wind())
    chosen = (hz > 100) & (hz < 2000)
    slope = np.polyfit(np.log(hz[chosen]), np.log(power[chosen]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15)


def test_insects_sing_in_narrow_bands_between_3_and_9_khz():
    _, hz, power = spectrum(Insects())
    inside = (hz > 2500) & (hz < 9500)
    assert power[inside].sum() / power.sum() > 0.99
    assert (power > 0.05 * power.max()).mean() < 0.15


def test_rain_has_drops_that_stand_out():
    noise, _, _ = spectrum(Rain())
    # Kurtosis of Gaussian noise is 3.
    assert np.mean(noise**4) / np.mean(noise**2) ** 2 > 6


def test_echoes_decay_by_60_db_in_the_reverberation_time():
    rate, click = 16000, torch.zeros(2 * 16000)
    click[0] = 1
    for severity, room in zip(SEVERITIES[:4], Reverberation.levels[:4], strict=True):
        echoes = Reverberation()(click, rate, severity, generator())[1:].double()
        left = echoes.square().flip(0).cumsum(0).flip(0)
        assert float(left[0]) == pytest.approx(10 ** (-room.drr_db / 10), rel=0.02)
        # Schroeder's backward integral falls by 30 dB in half of the time.
        fall = 10 * torch.log10(left[round(room.rt60 / 2 * rate)] / left[0])
        assert float(fall) == pytest.approx(-30, abs=1.5)


def test_distance_halves_the_level_when_it_doubles_and_keeps_the_floor():
    rate = 16000
    # Low enough that air absorbs next to nothing.
    tone = torch.sin(2 * torch.pi * 100 * torch.arange(rate) / rate)
    far = [Distance()(tone, rate, severity, generator()) for severity in SEVERITIES]
    for metres, audible in zip(Distance.levels, far, strict=True):
        level = float((audible * tone).sum() / tone.square().sum())
        assert level == pytest.approx(10 / metres, rel=0.05)
    hushed = far[4] - tone * float((far[4] * tone).sum() / tone.square().sum())
    assert 20 * torch.log10(hushed[500:-500].std() / tone.std()) == pytest.approx(-40, abs=1)


def test_resampling_keeps_what_is_below_half_of_the_new_rate():
    rate = 16000
    low, high = (torch.sin(2 * torch.pi * hz * torch.arange(rate) / rate) for hz in (1500, 3500))
    for severity, share in zip(SEVERITIES, Resampling.levels, strict=True):
        for tone, hz in ((low, 1500), (high, 3500)):
            changed = corrupted("resampling", tone, severity, rate=rate)
            kept = float((changed * tone).sum() / tone.square().sum())
            assert kept == pytest.approx(float(hz < share * rate / 2), abs=0.02)


def test_gain_clipping_and_masking_do_what_they_say(clips):
    clip = clips[3]
    for severity, level in zip(SEVERITIES, AUDIO_C["gain"].levels, strict=True):
        torch.testing.assert_close(corrupted("gain", clip, severity), clip * 10 ** (level / 20))
    for severity, level in zip(SEVERITIES, AUDIO_C["clipping"].levels, strict=True):
        changed = corrupted("clipping", clip, severity)
        assert float((changed != clip).double().mean()) == pytest.approx(level / 100, abs=0.002)
        assert torch.equal(changed, clip.clamp(changed.min(), changed.max()))
    before = torch.zeros(len(clip), dtype=torch.bool)
    for severity, level in zip(SEVERITIES, AUDIO_C["time_masking"].levels, strict=True):
        silent = corrupted("time_masking", torch.ones(len(clip)), severity) == 0
        assert float(silent.double().mean()) == pytest.approx(level, abs=0.01)
        assert not (before & ~silent).any()
        before = silent


def test_what_is_no_clip_and_no_severity_is_refused():
    with pytest.raises(ValueError, match=r"one clip of shape \(time,\), not \(1, 5\)"):
        AUDIO_C["wind"](torch.zeros(1, 5), RATE, 1, generator())
    with pytest.raises(ValueError, match="severities 1 to 5, not 6"):
        AUDIO_C["wind"](torch.zeros(5), RATE, 6, generator())
