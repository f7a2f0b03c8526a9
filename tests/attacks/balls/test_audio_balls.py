"""Balls of waveforms: signal-to-noise ratios, masks over frequency, masking thresholds."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    BIM,
    FGSM,
    FMN,
    MIFGSM,
    PGD,
    AbsoluteError,
    Noise,
    RandomStreams,
    snr_db,
)
from steadyear.attacks.balls import SNR, FrequencyMask, NormBall, Psychoacoustic

RATE = 8000
TIME = 803
MAKE = {
    "snr": SNR,
    "bands": lambda eps=0.0: FrequencyMask(RATE, [500, 2000], [-10.0, -20.0, -30.0], eps),
    "masking": lambda eps=0.0: Psychoacoustic(RATE, eps, bins=64),
}
EVERY = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def clips(number: int = 5) -> Tensor:
    """Tones in noise, of different loudness."""
    generator = torch.Generator().manual_seed(2)
    time = torch.arange(TIME) / RATE
    tones = torch.sin(2 * math.pi * torch.linspace(300, 2500, number)[:, None] * time)
    noise = torch.randn(number, TIME, generator=generator)
    return (0.3 * tones + 0.03 * noise) * torch.logspace(0, -2, number)[:, None]


class OneByOne(nn.Module):
    """A small network that hears every clip alone, at one loudness."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Conv1d(1, 6, 16, 4), nn.Tanh(), nn.Flatten())
        self.head = nn.LazyLinear(2)
        self(clips())

    def forward(self, x: Tensor) -> Tensor:
        loud = x.norm(dim=1, keepdim=True).clamp_min(1e-3) / 20
        return torch.cat([self.head(self.net(clip[None, None])) for clip in x / loud])


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, Tensor, Tensor]:
    model, x = OneByOne(), clips()
    with torch.no_grad():
        return model, x, model(x) + 0.1


@EVERY
@pytest.mark.parametrize("eps", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("attack", [APGD, BIM, FGSM, MIFGSM, Noise])
def test_stays_in_the_ball(make, eps, attack, case) -> None:
    model, x, target = case
    ball = make(eps)
    more = {"steps": 8} if attack is APGD else {}
    result = attack(ball, **more)(model, x, target)
    assert (result.size <= eps * (1 + 1e-6)).all()
    again = ball.size(result.adversarial.double() - x.double(), x.double())
    assert (again <= eps * (1 + 1e-6)).all()
    assert (result.size > 0.3 * eps).all()
    if attack is not Noise:
        assert (result.objective > result.clean_objective).all()


@EVERY
def test_projection_is_nearest_and_idempotent(make) -> None:
    x = clips().double()
    y = 0.05 * torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    y[1] *= 1e-4
    ball = make(0.7)
    point = ball.project(y, x)
    torch.testing.assert_close(ball.project(point, x), point, rtol=0, atol=1e-12)
    assert (ball.size(point, x) <= 0.7 * (1 + 1e-9)).all()
    small = ball.project(1e-7 * y, x)
    torch.testing.assert_close(small, 1e-7 * y, rtol=0, atol=1e-9)
    # The nearest point of a convex set: no other one lies further in the direction of y.
    for key in range(20):
        other = (
            ball.sample_on_sphere(x, RandomStreams(key))
            if key
            else ball.direction(y - point, x) * 0.7
        )
        gap = ((y - point) * (other - point)).sum(1)
        assert (gap <= 1e-4 * (y - point).norm(dim=1) * point.norm(dim=1) + 1e-15).all()


def test_projection_onto_bands_equals_an_optimiser() -> None:
    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(2, 1, 12, dtype=torch.float64, generator=generator)
    ball = FrequencyMask(12.0, [2.0, 4.0], [-6.0, 0.0, -12.0], 0.5)
    spectrum = np.fft.rfft(np.eye(12), axis=1)

    def energy(v: np.ndarray) -> np.ndarray:
        """Energy in bins 0 and 1, 2 and 3, 4 to 6, by Parseval's theorem."""
        power = np.abs(v @ spectrum) ** 2 / 12 * np.array([1, 2, 2, 2, 2, 2, 1])
        return np.array([power[:2].sum(), power[2:4].sum(), power[4:].sum()])

    allowed = (0.5 * 10 ** (np.array([-6, 0, -12]) / 20)) ** 2 * energy(x[0].numpy())
    best = minimize(
        lambda v: ((v - y[0].numpy()) ** 2).sum(),
        np.zeros(12),
        constraints={"type": "ineq", "fun": lambda v: allowed - energy(v)},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    np.testing.assert_allclose(ball.project(y, x)[0].numpy(), best.x, atol=1e-5)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_direction_attains_the_dual_norm(make, dtype) -> None:
    x, ball = clips().to(dtype), make(1.0)
    g = 1e-20 * torch.randn(x.shape, dtype=dtype, generator=torch.Generator().manual_seed(6))
    step = ball.direction(g, x)
    gain = (step.double() * g.double()).sum(1)
    torch.testing.assert_close(gain.to(dtype), ball.dual_norm(g, x), rtol=1e-5, atol=0)
    torch.testing.assert_close(ball.size(step, x), torch.ones(5, dtype=dtype), rtol=3e-3, atol=0)
    for key in range(10):
        other = ball.sample_on_sphere(x, RandomStreams(key))
        assert ((other * g).sum(1) < gain).all()
    assert (ball.direction(torch.zeros_like(g), x) == 0).all()


@EVERY
def test_gain_of_a_linear_model_is_the_dual_norm(make) -> None:
    x = clips().double()
    torch.manual_seed(0)
    model = nn.Linear(TIME, 1).double()
    ball = make(0.5)
    weight = model.weight.detach().expand_as(x)
    target = model(x).detach() + 1
    result = FGSM(ball, AbsoluteError())(model, x, target)
    expected = 1 + 0.5 * ball.dual_norm(weight, x)
    torch.testing.assert_close(result.objective, expected, rtol=2e-4, atol=0)
    found = FMN(make(math.inf), AbsoluteError(tolerance=0.01), steps=40)(model, x, target)
    assert found.success.all()
    torch.testing.assert_close(found.size, 0.01 / ball.dual_norm(weight, x), rtol=2e-2, atol=0)


@EVERY
def test_radii_belong_to_their_clips(make) -> None:
    x = clips(4)
    y = torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
    radius = torch.tensor([0.0, 0.1, 3.0, math.inf])
    found = make().project_to_radius(y, radius, x)
    assert (found[0] == 0).all()
    torch.testing.assert_close(found[3], y[3], atol=1e-5, rtol=0)
    size = make().size(found, x)
    assert (size <= radius * (1 + 1e-6)).all()
    torch.testing.assert_close(size[1:3], radius[1:3], rtol=3e-3, atol=0)


@EVERY
def test_random_points_lie_inside_and_on_the_surface(make) -> None:
    x, index = clips(), torch.arange(5)
    ball = make(0.4)
    for key in range(5):
        inside, surface = (
            f(x, RandomStreams(key, index)) for f in (ball.sample_in_ball, ball.sample_on_sphere)
        )
        assert (ball.size(inside, x) <= 0.4 * (1 + 1e-6)).all()
        torch.testing.assert_close(ball.size(surface, x), torch.full((5,), 0.4), rtol=3e-3, atol=0)
        assert torch.equal(ball.sample_in_ball(x[3:4], RandomStreams(key, index[3:4])), inside[3:4])


@EVERY
def test_silence_stays_finite(make, case) -> None:
    model, x, target = case
    x = x.clone()
    x[1] = 0
    result = PGD(make(0.5))(model, x, target)
    for values in (result.size, result.objective, result.adversarial):
        assert values.isfinite().all()
    assert (result.size <= 0.5 * (1 + 1e-6)).all()
    audible = bool((result.perturbation[1] != 0).any())
    assert audible == isinstance(make(), Psychoacoustic)
    FMN(make(math.inf), AbsoluteError(tolerance=0.01), steps=5)(model, x, target)


@EVERY
def test_a_budget_of_zero_changes_nothing(make, case) -> None:
    model, x, target = case
    for attack in (APGD(make(0.0), steps=5), PGD(make(0.0)), FGSM(make(0.0)), Noise(make(0.0))):
        result = attack(model, x, target)
        assert torch.equal(result.adversarial, x)
        assert (result.size == 0).all()


@EVERY
def test_a_clip_does_not_depend_on_its_batch(make, case) -> None:
    model, x, target = case
    index = torch.tensor([40, 7, 2**40, 0, 13])
    attack = PGD(make(0.3), steps=4)
    whole = attack(model, x, target, index=index).adversarial
    for some in ([3], [4, 0], [4, 3, 2, 1, 0]):
        part = attack(model, x[some], target[some], index=index[some]).adversarial
        torch.testing.assert_close(part, whole[some], rtol=0, atol=1e-6)


@EVERY
def test_bounds_are_kept_inside_the_ball(make) -> None:
    x = 3 * clips()
    x = x.clamp(-0.4, 0.4)
    bounds = (float(x.min()), float(x.max()))
    y = torch.randn(x.shape, generator=torch.Generator().manual_seed(8))
    for eps in (0.0, 0.1, 1.0):
        ball = make(eps)
        found = ball.project_within_bounds(y, x, bounds)
        assert (ball.size(found, x) <= eps * (1 + 1e-6)).all()
        # Half a step of the grid of single precision.
        assert (x + found).min() >= bounds[0] - 3e-8
        assert (x + found).max() <= bounds[1] + 3e-8
        assert (found != 0).any(1).all() == (eps > 0)
        alone = ball.project_within_bounds(y[2:3], x[2:3], bounds)
        torch.testing.assert_close(alone, found[2:3], rtol=0, atol=1e-7)


@EVERY
def test_balls_copy_and_pickle(make) -> None:
    x = clips()
    ball = make(0.3)
    ball.project(x, x)
    for other in (copy.deepcopy(ball), pickle.loads(pickle.dumps(ball)), ball.at(0.3)):
        assert torch.equal(other.project(x, x), ball.project(x, x))
    assert ball.at(0.1).eps == 0.1
    assert isinstance(ball.at(0.1), NormBall)


def test_snr_is_that_of_the_measure(case) -> None:
    model, x, target = case
    result = FGSM(SNR(db=30.0))(model, x, target)
    torch.testing.assert_close(
        snr_db(x, result.perturbation), torch.full((5,), 30.0), atol=1e-3, rtol=0
    )
    assert SNR(db=40.0).eps == pytest.approx(0.01)
    assert SNR(0.1).db == pytest.approx(20)
    assert (SNR(0.0).db, SNR(db=math.inf).eps) == (math.inf, 0.0)
    assert repr(SNR(db=30.0)) == "SNR(eps=0.0316228, 30 dB)"
    with pytest.raises(ValueError, match="not both"):
        SNR(0.1, db=20.0)
    with pytest.raises(ValueError, match="budget"):
        SNR(db=math.nan)


def test_bands_are_limited_and_forbidden_ones_stay_empty(case) -> None:
    model, x, target = case
    ball = FrequencyMask(RATE, [500, 2000], [-math.inf, -20.0, -40.0], 1.0)
    result = PGD(ball, steps=5)(model, x, target)
    moved, clean = (np.fft.rfft(v.double().numpy()) for v in (result.perturbation, x))
    hz = np.fft.rfftfreq(TIME, 1 / RATE)
    level = [
        20
        * np.log10(np.linalg.norm(moved[:, band], axis=1) / np.linalg.norm(clean[:, band], axis=1))
        for band in ((hz >= 500) & (hz < 2000), hz >= 2000)
    ]
    assert (level[0] <= -20 + 1e-5).all()
    assert (level[1] <= -40 + 1e-5).all()
    assert (level[0] > -21).all()
    # Nothing but the rounding of single precision.
    low = np.linalg.norm(moved[:, hz < 500], axis=1)
    assert (low <= 2**-24 * np.linalg.norm(clean, axis=1)).all()
    assert (result.size <= 1 + 1e-6).all()


def test_a_sound_in_a_forbidden_band_is_beyond_every_budget() -> None:
    x = clips()
    ball = FrequencyMask(RATE, [500], [-math.inf, 0.0])
    assert ball.size(x, x).isinf().all()


@pytest.mark.parametrize(
    ("edges", "limits", "says"),
    [
        ([500, 400], [0, 0, 0], "ascend"),
        ([0], [0, 0], "ascend"),
        ([4000], [0, 0], "ascend"),
        ([500], [0], "2 bands"),
        ([500], [-math.inf, -math.inf], "finite"),
        ([500], [0, math.inf], "finite"),
        ([500], [0, math.nan], "finite"),
    ],
)
def test_bands_must_make_sense(edges, limits, says) -> None:
    with pytest.raises(ValueError, match=says):
        FrequencyMask(RATE, edges, limits)


@pytest.mark.parametrize("name", ["bands", "masking"])
def test_only_waveforms_are_heard(name) -> None:
    x = torch.zeros(2, 1, 8, 8)
    for call in (lambda b: b.project(x, x), lambda b: b.size(x, x), lambda b: b.direction(x, x)):
        with pytest.raises(ValueError, match="attack the waveform"):
            call(MAKE[name](0.1))
