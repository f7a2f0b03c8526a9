"""Semantic boxes: identities, closed forms, gradients, and attacks inside of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from steadyear.attacks import APGD, PGD, Linf, Noise, Square, View
from steadyear.attacks.domains import SemanticBox
from steadyear.attacks.domains import transformations as change
from steadyear.attacks.domains.transformations.noise import coloured_noise
from steadyear.attacks.domains.transformations.resampling import read_at

RATE = 8000
ROOT = Path(__file__).resolve().parents[3]
ALL = [
    change.Gain(),
    change.LowPass(),
    change.BackgroundNoise(),
    change.RoomImpulseResponse(),
    change.Pitch(),
    change.Tempo(),
    change.SpectralQuantisation(),
]
SMOOTH = ALL[:4]


def name_of(transformation: change.Transformation) -> str:
    return type(transformation).__name__


def clips(number: int = 3, samples: int = 3000) -> Tensor:
    return 0.2 * torch.randn(
        number, samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )


def points(number: int, parameters: int) -> Tensor:
    numbers = torch.rand(number, parameters, generator=torch.Generator().manual_seed(1))
    return numbers.double() * 2 - 1


def sine(hertz: float, seconds: float = 1.0) -> Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return torch.sin(2 * torch.pi * hertz * time)[None]


def frequency_of(sound: Tensor) -> float:
    """Frequency of the strongest partial, between the bins of the transform."""
    middle = sound[0, 1000:-1000]
    window = torch.hann_window(len(middle), dtype=middle.dtype)
    power = torch.fft.rfft(middle * window, 8 * len(middle)).abs().log()
    top = int(power.argmax())
    low, high, best = power[top - 1], power[top + 1], power[top]
    offset = 0.5 * (low - high) / (low - 2 * best + high)
    return float((top + offset) * RATE / (8 * len(middle)))


@pytest.mark.parametrize("transformation", ALL, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 700, 3000])
def test_zero_changes_nothing(transformation, dtype, samples) -> None:
    sound = clips(2, samples).to(dtype)
    zero = torch.zeros(2, len(transformation.parameters), dtype=dtype)
    found = transformation(sound, zero, RATE)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found, sound, atol=tolerance, rtol=0)


@pytest.mark.parametrize("transformation", ALL, ids=name_of)
def test_clips_do_not_depend_on_the_batch_and_keep_their_length(transformation) -> None:
    sound, point = clips(), points(3, len(transformation.parameters))
    together = transformation(sound, point, RATE)
    alone = transformation(sound[1:2], point[1:2], RATE)
    assert together.shape == sound.shape
    torch.testing.assert_close(together[1:2], alone, atol=1e-12, rtol=0)
    assert (together - sound).abs().max() > 1e-3


@pytest.mark.parametrize("transformation", [*SMOOTH, *ALL[4:6]], ids=name_of)
def test_gradients_are_those_of_finite_differences(transformation) -> None:
    sound, count = clips(2), len(transformation.parameters)
    point = points(2, count).requires_grad_()
    weights = torch.randn(sound.shape, generator=torch.Generator().manual_seed(2)).double()
    value = lambda p: (transformation(sound, p, RATE) * weights).sum(1)
    (gradient,) = torch.autograd.grad(value(point).sum(), point)
    step = 1e-7
    for place in range(count):
        moved = torch.zeros_like(point)
        moved[:, place] = step
        expected = (value(point + moved) - value(point - moved)) / (2 * step)
        torch.testing.assert_close(gradient[:, place], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("transformation", ALL, ids=name_of)
def test_silence_has_gradients(transformation) -> None:
    sound = torch.zeros(1, 2000, requires_grad=True)
    point = torch.full((1, len(transformation.parameters)), 0.5, requires_grad=True)
    found = transformation(sound, point, RATE)
    assert found.abs().max() < 1e-12
    for gradient in torch.autograd.grad(found.sum(), (sound, point)):
        assert gradient.isfinite().all()


def test_half_of_twelve_decibels_is_six() -> None:
    sound = clips()
    found = change.Gain(12.0)(sound, torch.tensor([[0.5], [-0.5], [1.0]]).double(), RATE)
    ratio = (found / sound)[:, 0]
    torch.testing.assert_close(20 * ratio.log10(), torch.tensor([6.0, -6.0, 12.0]).double())


@pytest.mark.parametrize("value", [1.0, -1.0, 0.25])
def test_a_sine_behind_the_low_pass_has_its_response(value) -> None:
    found = change.LowPass(2000.0)(sine(1000.0), torch.tensor([[value]]).double(), RATE)
    ratio = 1000.0 * abs(value) / 2000.0
    middle = slice(2000, 6000)
    time = torch.arange(RATE, dtype=torch.float64)[middle] / RATE
    expected = torch.sin(2 * torch.pi * 1000 * time - math.atan(ratio)) / math.sqrt(1 + ratio**2)
    torch.testing.assert_close(found[0, middle], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("slope", [0.0, 3.0, 6.0])
def test_noise_has_its_ratio_and_colour(slope) -> None:
    sound = clips(1, 40000)
    found = change.BackgroundNoise(6.0, slope)(sound, torch.tensor([[0.1]]).double(), RATE)
    noise = found - sound
    snr = 10 * torch.log10(sound.square().mean() / noise.square().mean())
    assert float(snr) == pytest.approx(26.0)
    power = torch.fft.rfft(noise[0]).abs().square()
    low, high = power[1000:2000].mean(), power[8000:16000].mean()
    # Three octaves apart.
    assert float(10 * torch.log10(low / high)) == pytest.approx(3 * slope, abs=0.6)


def test_noises_have_seeds() -> None:
    assert torch.equal(coloured_noise(100, 3.0, 0), coloured_noise(100, 3.0, 0))
    assert not torch.equal(coloured_noise(100, 3.0, 0), coloured_noise(100, 3.0, 1))


@pytest.mark.parametrize(("decay", "seconds"), [(-1.0, 0.1), (0.0, 0.2), (1.0, 0.4)])
def test_a_click_in_a_room_dies_away_in_time(decay, seconds) -> None:
    click = torch.zeros(1, RATE, dtype=torch.float64)
    click[0, 0] = 1.0
    room = change.RoomImpulseResponse(6.0, (0.1, 0.4))
    found = room(click, torch.tensor([[1.0, decay]]).double(), RATE)
    tail = (found - click)[0]
    assert found[0, 0] == pytest.approx(1.0)
    assert float(-10 * tail.square().sum().log10()) == pytest.approx(6.0, abs=1e-6)
    # Energy that is still to come, from 0 to -20 dB (Schroeder, 1965).
    left = 10 * tail.square().flip(0).cumsum(0).flip(0).clamp_min(1e-30).log10()
    fallen = int((left < left[0] - 20).nonzero()[0]) / RATE
    assert 3 * fallen == pytest.approx(seconds, rel=0.25)


@pytest.mark.parametrize("value", [1.0, -0.5])
def test_pitch_moves_a_sine_and_not_its_length(value) -> None:
    found = change.Pitch(100.0)(sine(1000.0), torch.tensor([[value]]).double(), RATE)
    assert frequency_of(found) == pytest.approx(1000 * 2 ** (value / 12), rel=2e-4)
    # The vocoder lets bins of one tone drift apart a little.
    level = found[0, 1000:-1000].square().mean().sqrt()
    assert float(level) == pytest.approx(1 / math.sqrt(2), rel=0.12)


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_tempo_moves_a_burst_and_not_its_pitch(value) -> None:
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    burst = sine(1000.0) * torch.exp(-0.5 * ((time - 0.5) / 0.05) ** 2)
    found = change.Tempo(5.0)(burst, torch.tensor([[value]]).double(), RATE)
    energy = found[0].square()
    centre = float((energy * time).sum() / energy.sum())
    assert centre == pytest.approx(0.5 / (1 + 0.05 * value), abs=2e-3)
    steady = change.Tempo(5.0)(sine(1000.0), torch.tensor([[value]]).double(), RATE)
    assert frequency_of(steady[:, :7000]) == pytest.approx(1000.0, abs=0.3)


def test_clips_are_read_between_their_samples() -> None:
    sound = sine(700.0)
    place = torch.linspace(1000, 7000, 997, dtype=torch.float64)[None]
    expected = torch.sin(2 * torch.pi * 700 * place / RATE)
    torch.testing.assert_close(read_at(sound, place), expected, atol=1e-3, rtol=0)


def test_coarser_steps_lose_more_and_the_gradient_says_so() -> None:
    sound = clips(1, 4000)
    quantise = change.SpectralQuantisation(2.0)

    def lost(value: Tensor) -> Tensor:
        return (quantise(sound, value, RATE) - sound).square().sum()

    losses = [float(lost(torch.tensor([[v]]).double())) for v in (0.1, 0.3, 1.0)]
    assert losses == sorted(losses)
    value = torch.tensor([[0.3]]).double().requires_grad_()
    (gradient,) = torch.autograd.grad(lost(value), value)
    # The error is the step times a rounding of fixed law, so its energy is quadratic.
    assert float(gradient) == pytest.approx(2 * losses[1] / 0.3, rel=1e-6)


class Loudness(nn.Module):
    """Predicts the level of a clip in dB, and the mean of its square in a quiet scale."""

    def forward(self, x: Tensor) -> Tensor:
        power = x.square().mean(1, keepdim=True)
        return torch.cat([10 * power.log10(), power], 1)


SOLVERS = {PGD: {}, APGD: {"steps": 20}, Square: {"queries": 20}, Noise: {"tries": 20}}


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_finds_the_end_of_the_box(solver) -> None:
    sound = clips().float()
    box = SemanticBox([change.Gain(12.0)], RATE)
    attack = solver(Linf(0.5), view=View(domain=box), **SOLVERS[solver])
    result = attack(Loudness(), sound, Loudness()(sound) - 3)
    assert result.adversarial.shape == (3, 1)
    torch.testing.assert_close(result.adversarial, torch.full((3, 1), 0.5))
    torch.testing.assert_close(
        result.output, Loudness()(sound * 10 ** (6 / 20)), rtol=1e-4, atol=1e-4
    )


def test_a_budget_of_nothing_is_the_clean_clip() -> None:
    sound = clips().float()
    box = SemanticBox(ALL, RATE)
    result = PGD(Linf(0.0), view=View(domain=box))(Loudness(), sound, Loudness()(sound) - 3)
    assert (result.perturbation == 0).all()
    assert box.parameters[:2] == ["gain", "low_pass"]
    assert len(box.parameters) == 8


def test_transformations_follow_each_other() -> None:
    sound = clips()
    box = SemanticBox([change.Gain(), change.RoomImpulseResponse()], RATE)
    point = points(3, 3)
    by_hand = change.RoomImpulseResponse()(
        change.Gain()(sound, point[:, :1], RATE), point[:, 1:], RATE
    )
    torch.testing.assert_close(box.render(point, sound), by_hand)


def test_half_precision_clips_have_full_precision_points() -> None:
    sound = clips().bfloat16()
    box = SemanticBox([change.Gain()], RATE)
    assert box.start(sound).dtype == torch.float32
    assert box.render(box.start(sound), sound).dtype == torch.bfloat16


def test_another_sampling_rate_is_refused() -> None:
    net = Loudness()
    net.frontend = nn.Identity()
    net.frontend.sample_rate = 32000
    attack = PGD(Linf(0.5), view=View(domain=SemanticBox([change.Gain()], RATE)))
    with pytest.raises(ValueError, match="set its sample_rate to 32000"):
        attack(net, clips().float(), torch.zeros(3, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SemanticBox([], RATE),
        lambda: SemanticBox([change.Gain()], 0),
        lambda: change.Gain(0.0),
        lambda: change.LowPass(-1.0),
        lambda: change.RoomImpulseResponse(decay_seconds=(1.0, 0.5)),
        lambda: change.RoomImpulseResponse(decay_seconds=(0.0, 0.5)),
        lambda: change.Pitch(0.0),
        lambda: change.Tempo(100.0),
        lambda: change.SpectralQuantisation(0.0),
    ],
)
def test_impossible_settings_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"not|0"):
        make()


def test_the_shipped_box_exists() -> None:
    file = ROOT / "configs/callbacks/semantic_robustness.yaml"
    attacks = yaml.safe_load(file.read_text())["init_args"]["attacks"]
    for attack in attacks.values():
        settings = attack["init_args"]["view"]["init_args"]["domain"]["init_args"]
        names = [t["class_path"] for t in settings["transformations"]]
        box = SemanticBox([getattr(change, n)() for n in names], settings["sample_rate"])
        sound = clips(1, 4000).float()
        torch.testing.assert_close(box.render(box.start(sound), sound), sound, atol=1e-5, rtol=0)
