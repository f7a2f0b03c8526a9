"""The lapped transform, the model of masking, and the ball of what cannot be audible."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.fft import dct

from steadyear.attacks.balls import Psychoacoustic
from steadyear.attacks.signal.masking import bark, masking_threshold, threshold_in_quiet
from steadyear.attacks.signal.mdct import MDCT
from steadyear.attacks.signal.memo import OncePerTensor

RATE, BINS = 16000, 256


def tone(hz: float, amplitude: float, length: int = 8000) -> torch.Tensor:
    time = torch.arange(length, dtype=torch.float64) / RATE
    return amplitude * torch.sin(2 * math.pi * hz * time)[None]


def permitted(x: torch.Tensor) -> np.ndarray:
    """Threshold of an inner frame, as energies per bin."""
    return masking_threshold(x, RATE, BINS)[0, 10].numpy()


def bin_of(hz: float) -> int:
    return int(hz * 2 * BINS / RATE)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 31, 64, 101])
def test_transform_is_orthonormal_at_every_length(length) -> None:
    mdct, unit = MDCT(length, 8), torch.eye(length, dtype=torch.float64)
    matrix = mdct.forward(unit)
    torch.testing.assert_close(matrix @ matrix.T, unit, atol=1e-12, rtol=0)
    torch.testing.assert_close(mdct.inverse(matrix), unit, atol=1e-12, rtol=0)


def test_inner_blocks_are_windowed_cosines() -> None:
    torch.manual_seed(0)
    bins, x = 8, torch.randn(1, 70, dtype=torch.float64)
    mdct = MDCT(70, bins)
    found = mdct.split(mdct.forward(x))[0][0]
    place, k = np.arange(2 * bins), np.arange(bins)[:, None]
    window = np.sin(np.pi / (2 * bins) * (place + 0.5))
    cosines = np.cos(np.pi / bins * (place + 0.5 - bins / 2) * (k + 0.5))
    for block in range(1, 7):
        part = x[0, block * bins - bins // 2 :][: 2 * bins].numpy()
        expected = np.sqrt(2 / bins) * cosines @ (window * part)
        np.testing.assert_allclose(found[block].numpy(), expected, atol=1e-12)


def test_a_short_clip_is_one_block() -> None:
    x = torch.randn(3, 11, dtype=torch.float64)
    expected = dct(x.numpy(), type=4, norm="ortho")
    np.testing.assert_allclose(MDCT(11, 8).forward(x).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("length", "bins"), [(0, 8), (10, 7), (10, 0)])
def test_blocks_must_make_sense(length, bins) -> None:
    with pytest.raises(ValueError, match="even number"):
        MDCT(length, bins)


def test_published_points_of_hearing() -> None:
    """Critical bands 8 and 20 of Zwicker end at 920 and 6400 Hz; hearing is best between 3 and 4 kHz."""
    assert bark(torch.tensor(920.0)).item() == pytest.approx(8, abs=0.1)
    assert bark(torch.tensor(6400.0)).item() == pytest.approx(20, abs=0.2)
    hz = torch.linspace(50, 20000, 2000)
    quiet = threshold_in_quiet(hz)
    assert 3000 < float(hz[quiet.argmin()]) < 4000
    assert float(quiet.min()) == pytest.approx(-5, abs=0.5)
    assert float(threshold_in_quiet(torch.tensor(1000.0))) == pytest.approx(3.4, abs=0.1)
    assert float(quiet.max()) == pytest.approx(68.0)


def test_silence_leaves_the_threshold_in_quiet() -> None:
    """All bins of a band at their limits carry the energy of a sine that is just audible."""
    limit = permitted(torch.zeros(1, 8000))
    hz = (np.arange(BINS) + 0.5) * RATE / (2 * BINS)
    band = np.floor(bark(torch.tensor(hz)).numpy()) == np.floor(bark(torch.tensor(3300.0)).item())
    sine = 10 ** ((threshold_in_quiet(torch.tensor(3300.0)).item() - 96) / 20)
    assert limit[band].sum() == pytest.approx(sine**2 * BINS / 2, rel=0.1)
    audible = permitted(tone(3300, 1e-6))
    np.testing.assert_allclose(audible, limit)


def test_a_tone_hides_noise_around_it_and_more_above_than_below() -> None:
    quiet, limit = permitted(torch.zeros(1, 8000)), permitted(tone(1000, 0.5))
    # Two bands away on either side, by how much the threshold rises above that in quiet.
    own, below, above = (limit[bin_of(hz)] / quiet[bin_of(hz)] for hz in (1000, 700, 1350))
    assert own > 10 * above > 30 * below
    assert above > 3
    assert limit[bin_of(7500)] == pytest.approx(quiet[bin_of(7500)])
    band = np.floor(bark(torch.tensor((np.arange(BINS) + 0.5) * RATE / (2 * BINS))).numpy())
    noise = limit[band == band[bin_of(1000)]].sum()
    # Johnston: 14.5 dB plus the number of the band, 9, and 2 to 3 dB that spread to other bands.
    assert 10 * math.log10(0.5**2 * BINS / 2 / noise) == pytest.approx(26, abs=3)


def test_thresholds_rise_with_the_level() -> None:
    torch.manual_seed(1)
    noise = torch.randn(1, 8000, dtype=torch.float64)
    low, high = permitted(0.1 * noise), permitted(noise)
    np.testing.assert_allclose(high[20:200] / low[20:200], 100, rtol=0.1)
    # Masking noise hides noise that is 5.5 dB softer, a little less where a spectrum is not flat.
    ratio = 10 * np.log10(1 / high[20:200])
    assert 5 < np.median(ratio) < 9


def test_an_onset_hides_nothing_before_it() -> None:
    x = torch.cat([torch.zeros(1, 4000, dtype=torch.float64), tone(1000, 0.5, 4000)], 1)
    limit = masking_threshold(x, RATE, BINS)[0, :, bin_of(1000)]
    first = 4000 // BINS
    assert limit[first + 2] > 1e3 * limit[first - 2]
    assert (limit[: first - 1] == limit[0]).all()
    assert limit[first] <= 2.01 * max(limit[first - 1], limit[0]) or limit[first - 1] > limit[0]


def test_a_threshold_belongs_to_its_clip() -> None:
    torch.manual_seed(2)
    x = torch.randn(4, 3000, dtype=torch.float64) * torch.tensor([[1.0], [0.1], [0.0], [0.01]])
    whole = masking_threshold(x, RATE, BINS)
    assert whole.isfinite().all()
    assert (whole > 0).all()
    for i in range(4):
        alone = masking_threshold(x[i : i + 1], RATE, BINS)
        torch.testing.assert_close(alone, whole[i : i + 1], rtol=1e-9, atol=0)


@pytest.mark.parametrize("length", [1, 100, 255, 256, 500, 511, 512, 700, 1024, 3333])
def test_every_length_works(length) -> None:
    torch.manual_seed(3)
    x, y = 0.1 * torch.randn(2, length), torch.randn(2, length)
    ball = Psychoacoustic(RATE, 1.0, BINS)
    found = ball.project(y, x)
    adversarial = x + found
    assert (ball.size(adversarial - x, x) <= 1 + 1e-6).all()
    assert (ball.size(adversarial - x, x) > 0.9).all()
    coefficients = MDCT(length, BINS).forward(adversarial.double() - x.double())
    limits = ball.limits(x)
    # Measured without any allowance for rounding, too.
    assert (coefficients.abs() <= limits).all()


def test_what_is_allowed_is_soft() -> None:
    """At the threshold, noise-like music keeps an SNR above 5.5 dB, tones a far larger one."""
    torch.manual_seed(4)
    sounds = torch.cat([0.1 * torch.randn(1, 8000), tone(1000, 0.3).float()])
    ball = Psychoacoustic(RATE, 1.0, BINS)
    found = ball.project(torch.randn(2, 8000), sounds)
    ratio = 20 * torch.log10(sounds.norm(dim=1) / found.norm(dim=1))
    assert 5 < float(ratio[0]) < 10
    assert float(ratio[1]) > 15


def test_thresholds_are_computed_once_per_clip(monkeypatch) -> None:
    calls = []
    ball = Psychoacoustic(RATE, 1.0, BINS)
    monkeypatch.setattr(ball._limits, "function", lambda x: calls.append(1) or ball.limits(x))
    x = 0.1 * torch.randn(2, 2000)
    for part in (x, x[:], x[slice(None)], x.detach()):
        ball.project(torch.ones_like(part), part)
    assert len(calls) == 1
    x[0] = 0
    ball.project(x, x)
    ball.project(x[:1], x[:1])
    assert len(calls) == 3


def test_memory_of_tensors_is_never_stale() -> None:
    double = OncePerTensor(lambda x: 2 * x)
    x = torch.ones(3, 4)
    assert torch.equal(double(x), 2 * x)
    x[1] = 5
    assert torch.equal(double(x), 2 * x)
    assert torch.equal(double(x[:2]), 2 * x[:2])
    assert torch.equal(double(x.T), 2 * x.T)
    for key in range(20):
        # The memory of a deleted tensor is given to the next one.
        y = torch.full((3, 4), float(key))
        assert torch.equal(double(y), 2 * y)
        del y
    with torch.inference_mode():
        z = torch.ones(2)
        assert torch.equal(double(z), 2 * z)
        z[0] = 3
        assert torch.equal(double(z), 2 * z)


@pytest.mark.parametrize(("rate", "bins"), [(0, 8), (8000, 7), (8000, 0)])
def test_settings_must_make_sense(rate, bins) -> None:
    with pytest.raises(ValueError, match="even number of bins"):
        Psychoacoustic(rate, 1.0, bins)
