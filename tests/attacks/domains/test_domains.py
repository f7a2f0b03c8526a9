"""Domains: where they begin, what they refuse, and the sounds behind spectrograms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import FGSM, PGD, Linf, Universal, View
from steadyear.attacks.balls import SNR, FrequencyMask, Psychoacoustic
from steadyear.attacks.domains import SemanticBox, SpectrogramDomain, WaveformDomain, realise
from steadyear.attacks.domains.transformations import Gain
from steadyear.attacks.evaluation.realisability import realisability_gap

RATE = 8000


class LogSpectrum(nn.Module):
    """Logarithm of a power spectrogram; ``scale`` makes it another front end."""

    sample_rate = RATE

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, waveform: Tensor) -> Tensor:
        window = torch.hann_window(64, dtype=waveform.dtype)
        spectrum = torch.stft(waveform, 64, 32, window=window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return self.scale * torch.log10(power + 1e-4)[:, None]


class Net(nn.Module):
    """Takes waveforms or spectrograms, as the modules of the suite do."""

    def __init__(self, frontend: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frontend = frontend
        self.head = nn.Linear(33 * 33, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            x = LogSpectrum()(x)
        return self.head(x.flatten(1))


@pytest.fixture
def sounds() -> Tensor:
    return 0.1 * torch.randn(3, 1024, generator=torch.Generator().manual_seed(1))


TARGET = torch.ones(3, 2)


@pytest.mark.parametrize("given", [True, False])
def test_spectrograms_of_waveforms_are_attacked_as_spectrograms(sounds, given) -> None:
    net = Net(None if given else LogSpectrum())
    domain = SpectrogramDomain(LogSpectrum() if given else None)
    index = torch.arange(3)
    found = PGD(Linf(0.1), view=View(domain=domain))(net, sounds, TARGET, index=index)
    same = PGD(Linf(0.1))(net, LogSpectrum()(sounds), TARGET, index=index)
    torch.testing.assert_close(found.adversarial, same.adversarial)
    assert found.adversarial.shape == (3, 1, 33, 33)
    assert (found.objective > found.clean_objective).all()


def test_another_front_end_is_refused(sounds) -> None:
    attack = FGSM(Linf(0.1), view=View(domain=SpectrogramDomain(LogSpectrum(1.1))))
    with pytest.raises(
        ValueError, match=r"'spectrogram' changes the prediction .*another front end"
    ):
        attack(Net(), sounds, TARGET)


def test_a_missing_front_end_is_named(sounds) -> None:
    attack = FGSM(Linf(0.1), view=View(domain=SpectrogramDomain()))
    with pytest.raises(TypeError, match="Net has no front end in an attribute 'frontend'"):
        attack(Net(), sounds, TARGET)
    with pytest.raises(ValueError, match="for_model"):
        SpectrogramDomain().start(sounds)


@pytest.mark.parametrize(
    "domain", [SpectrogramDomain(), WaveformDomain(), SemanticBox([Gain()], RATE)]
)
def test_spectrograms_are_no_waveforms(sounds, domain) -> None:
    with pytest.raises(ValueError, match=r"stream waveforms"):
        FGSM(Linf(0.1), view=View(domain=domain))(Net(LogSpectrum()), LogSpectrum()(sounds), TARGET)


def test_waveforms_stay_within_full_scale(sounds) -> None:
    attack = PGD(Linf(0.5), view=View(domain=WaveformDomain()))
    found = attack(Net(), sounds + 0.6, TARGET)
    assert found.adversarial.abs().max() == 1
    assert found.size.max() > 0.4
    with pytest.raises(ValueError, match="beyond the bounds"):
        attack(Net(), sounds + 1, TARGET)
    PGD(Linf(0.5), view=View(domain=WaveformDomain(2.0)))(Net(), sounds + 1, TARGET)
    with pytest.raises(ValueError, match="above 0"):
        WaveformDomain(0.0)


def test_a_perturbation_that_a_sound_has_is_found(sounds) -> None:
    frontend = LogSpectrum().double()
    clean = sounds.double()
    change = 0.01 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)).double()
    wanted = frontend(clean + change) - frontend(clean)
    found = realise(frontend, clean, wanted, rounds=4, steps=30)
    assert (found.gap < 0.2).all()
    torch.testing.assert_close(found.spectrogram, frontend(found.waveform))


def test_louder_is_a_sound_and_its_snr_is_known() -> None:
    # Twice the amplitude: log10 of the power rises everywhere by the same amount.
    clean = torch.randn(2, 1024, generator=torch.Generator().manual_seed(3)).double()
    frontend = LogSpectrum()
    wanted = torch.full_like(frontend(clean), 2 * torch.tensor(1.1).log10().item())
    found = realise(frontend, clean, wanted, rounds=3, steps=30)
    assert (found.gap < 0.05).all()
    torch.testing.assert_close(found.snr_db, torch.full((2,), 20.0).double(), atol=0.5, rtol=0)


def test_no_perturbation_leaves_nothing_to_do(sounds) -> None:
    found = realise(LogSpectrum(), sounds, torch.zeros(3, 1, 33, 33))
    assert torch.equal(found.waveform, sounds)
    assert (found.gap == 0).all()


def test_sounds_do_not_depend_on_the_batch_and_never_lead_away(sounds) -> None:
    frontend, clean = LogSpectrum(), sounds.double()
    noise = torch.randn(3, 1, 33, 33, generator=torch.Generator().manual_seed(4)).double()
    together = realise(frontend, clean, noise, rounds=2, steps=5)
    alone = realise(frontend, clean[1:2], noise[1:2], rounds=2, steps=5)
    torch.testing.assert_close(together.waveform[1:2], alone.waveform)
    assert (together.gap < 1).all()
    # Noise in every value belongs to no sound.
    assert (together.gap > 0.3).all()


@pytest.mark.parametrize(
    "ball", [SNR(db=20), FrequencyMask(RATE, [100], [0, -10]), Psychoacoustic(RATE)], ids=str
)
def test_balls_around_sounds_are_refused_where_points_are_none(ball) -> None:
    """The point of the clean clip in a semantic box is 0, around which they allow nothing."""
    for domain in (SemanticBox([Gain()], RATE), SpectrogramDomain(LogSpectrum())):
        with pytest.raises(ValueError, match="relative to the waveform of the clip"):
            PGD(ball, view=View(domain=domain))
    assert PGD(ball, view=View(domain=WaveformDomain())).bounds == (-1.0, 1.0)


@pytest.mark.parametrize("call", [PGD.__call__, PGD.craft], ids=["call", "craft"])
def test_balls_around_sounds_are_refused_around_spectrograms(sounds, call) -> None:
    spectrogram = LogSpectrum()(sounds)
    for ball in (SNR(db=20), FrequencyMask(RATE, [100], [0, -10], 0.1), Psychoacoustic(RATE, 0.1)):
        with pytest.raises(ValueError, match=r"(?s)\(3, 1, 33, 33\).*stream: waveform") as error:
            call(PGD(ball), Net().eval(), spectrogram, TARGET)
        assert repr(ball) in str(error.value)
    stages = nn.Sequential(LogSpectrum(), nn.Flatten(), nn.Linear(33 * 33, 2))
    with pytest.raises(ValueError, match=r"\(3, 1, 33, 33\)"):
        call(PGD(SNR(db=20), view=View(perturb_at="0")), stages, sounds, TARGET)
    universal = Universal(SNR(db=20), epochs=1)
    with pytest.raises(ValueError, match=r"\(3, 1, 33, 33\)"):
        universal.fit(Net().eval(), [(spectrogram, TARGET)])


def test_sounds_of_several_channels_are_sounds(sounds) -> None:
    stereo, net = torch.stack([sounds, 0.5 * sounds], 1), Net().eval()
    found = PGD(SNR(db=20), steps=2)(lambda x: net(x.mean(1)), stereo, TARGET)
    assert (found.size <= 0.1 * (1 + 1e-6)).all()
    assert (found.size > 0.05).all()


def test_the_wrong_perturbation_is_refused(sounds) -> None:
    with pytest.raises(ValueError, match=r"\(3, 5\).*\(3, 1, 33, 33\)"):
        realise(LogSpectrum(), sounds, torch.zeros(3, 5))


def test_the_gap_of_an_attack_lies_between_clean_and_attacked(sounds) -> None:
    net, attack = Net().eval(), PGD(Linf(0.1))
    found = attack(net, LogSpectrum()(sounds), TARGET)
    report = realisability_gap(net, LogSpectrum(), found, sounds, TARGET, attack.objective)
    assert torch.equal(report.clean, found.clean_objective)
    assert torch.equal(report.attacked, found.objective)
    expected = attack.objective(net(report.sound.waveform), TARGET)
    torch.testing.assert_close(report.realised, expected)
    assert (report.realised > report.clean).all()
    assert (report.realised < report.attacked).all()
    assert not report.output.requires_grad
