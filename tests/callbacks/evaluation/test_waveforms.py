"""What is reported of attacks in domains: SNR, sounds, and what a sound can have of a spectrogram."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from steadyear.attacks import FGSM, PGD, Linf, View
from steadyear.attacks.domains import SemanticBox, SpectrogramDomain, WaveformDomain
from steadyear.attacks.domains.transformations import Gain
from steadyear.attacks.evaluation.realisability import realisability_gap
from steadyear.callbacks import RobustnessEvaluation
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.evaluation.media import Media
from steadyear.callbacks.evaluation.realisability import RealisabilityGap
from steadyear.callbacks.evaluation.waveforms import as_waveform
from steadyear.callbacks.records.robustness_table import Condition
from tests.callbacks import foreign_modules as foreign

RATE, CLIPS = 8000, 5


class Power(nn.Module):
    """The power in short blocks, which is a spectrogram of one band, in a logarithm."""

    sample_rate = RATE

    def forward(self, waveform: Tensor) -> Tensor:
        return (waveform.unflatten(1, (-1, 16)).square().mean(2) + 1e-4).log10()[:, None, None]


class Listener(foreign.Foreign):
    """Takes waveforms or spectrograms."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = Power()
        self.net = nn.Linear(40, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.net((self.frontend(x) if x.ndim == 2 else x).flatten(1))


def sounds() -> Tensor:
    return 0.1 * torch.randn(CLIPS, 640, generator=torch.Generator().manual_seed(0))


def batches() -> DataLoader:
    columns = {"waveform": sounds(), "target": torch.ones(CLIPS, 2), "index": torch.arange(CLIPS)}
    return DataLoader([{k: v[i] for k, v in columns.items()} for i in range(CLIPS)], batch_size=2)


def test_the_snr_is_that_of_what_the_module_hears(tmp_path) -> None:
    module = foreign.seeded(Listener)
    attacks = {
        "wave": FGSM(Linf(), view=View(domain=WaveformDomain())),
        "plain": FGSM(Linf()),
        "box": FGSM(Linf(), view=View(domain=SemanticBox([Gain(12.0)], RATE))),
        "picture": FGSM(Linf(), view=View(domain=SpectrogramDomain())),
        "inside": FGSM(Linf(), view=View(perturb_at="frontend")),
    }
    evaluation = RobustnessEvaluation(attacks, [0.01], media_clips=CLIPS)
    foreign.trainer(tmp_path, evaluation).test(module, batches(), verbose=False)
    table = pd.read_parquet(tmp_path / "robustness.parquet").set_index("attack")
    domains = table["domain"].groupby("attack").first().to_dict()
    assert domains == {
        "wave": "waveform",
        "plain": "waveform",
        "box": "semantic",
        "picture": "spectrogram",
        "inside": "frontend",
    }
    snr = 10 * torch.log10(sounds().square().mean(1) / 0.01**2)
    for name in ("wave", "plain"):
        assert table.loc[name, "snr_db"].tolist() == pytest.approx(snr.tolist(), abs=1e-2)
    # A gain of g changes every sample by g - 1, whatever the clip.
    gains = {1 / (10 ** (s * 0.12 / 20) - 1) ** 2 for s in (-1, 1)}
    levels = [10 * torch.tensor(g).log10().item() for g in gains]
    assert all(min(abs(v - g) for g in levels) < 1e-2 for v in table.loc["box", "snr_db"])
    assert table.loc[["picture", "inside"], "snr_db"].isna().all()
    assert table.loc["box", "achieved_linf"].tolist() == pytest.approx([0.01] * CLIPS)
    kept = evaluation._media.kept
    assert kept["box", 0][0].domain == "waveform"
    torch.testing.assert_close(kept["box", 3][1], sounds()[3])
    assert kept["picture", 0][1].shape == (1, 1, 40)


def test_only_waveforms_can_be_heard() -> None:
    module, x = foreign.seeded(Listener).eval(), sounds()
    box = View(domain=SemanticBox([Gain()], RATE))
    result = FGSM(Linf(0.5), view=box)(module, x, torch.ones(CLIPS, 2))
    assert as_waveform(result, box, x, "spectrogram") is None
    audible = as_waveform(result, box, x, "waveform")
    assert torch.equal(audible.adversarial, box.rendered(result.adversarial, x))
    assert torch.equal(audible.output, result.output)


def test_points_of_a_box_can_be_kept_as_they_are() -> None:
    box = View(domain=SemanticBox([Gain()], RATE))
    attack = FGSM(Linf(0.5), view=box)
    result = attack(foreign.seeded(Listener).eval(), sounds(), torch.ones(CLIPS, 2))
    media = Media(2)
    media.add(Condition("box", attack, 0.5, "semantic"), result, torch.arange(CLIPS))
    assert list(media.kept) == [("box", 0), ("box", 1)]


def test_what_sounds_can_have_is_logged(tmp_path) -> None:
    module, attack = foreign.seeded(Listener), PGD(Linf(0.05), steps=3)
    report = RealisabilityGap(attack, max_clips=4)
    found = foreign.trainer(tmp_path, report)
    found.test(module, batches(), verbose=False)
    figures = found.callback_metrics
    x, target, index = sounds()[:4], torch.ones(4, 2), torch.arange(4)
    result = attack(module, module.frontend(x), target, index=index)
    expected = realisability_gap(module, module.frontend, result, x, target, attack.objective)
    logged = {
        "clean_error": (module(x) - 1).abs().mean(),
        "attacked_error": (result.output - 1).abs().mean(),
        "realised_error": (expected.output - 1).abs().mean(),
        "gap": expected.sound.gap.mean(),
        "snr_db": expected.sound.snr_db.mean(),
    }
    for name, value in logged.items():
        assert float(figures[f"test/realisability/{name}"]) == pytest.approx(float(value), rel=1e-3)
    # Blocks do not overlap, so a sound has nearly all of it.
    assert logged["gap"] < 0.2
    assert logged["clean_error"] < logged["realised_error"]


def test_batches_without_waveforms_are_left_out(tmp_path) -> None:
    spectrogram = Power()(sounds())
    loader = DataLoader(
        [{"spectrogram": s, "target": torch.ones(2)} for s in spectrogram], batch_size=2
    )
    found = foreign.trainer(tmp_path, RealisabilityGap(PGD(Linf(0.05), steps=2)))
    found.test(foreign.seeded(Listener), loader, verbose=False)
    assert not found.callback_metrics


def test_attacks_that_do_not_fit_the_report_are_refused() -> None:
    for wrong in (View(domain=WaveformDomain()), View(perturb_at="net"), View(read_at="net")):
        with pytest.raises(ValueError, match="leave domain, perturb_at and read_at out"):
            RealisabilityGap(PGD(Linf(0.1), view=wrong))
    assert RealisabilityGap(PGD(Linf(0.1)), BatchKeys(input=0)).keys.input == 0
