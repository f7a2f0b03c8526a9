"""Augmentation: closed forms, seeds, and what must stay as it was."""

from __future__ import annotations

import random

import audiomentations
import numpy as np
import pytest
import soundfile
import torch

from steadyear.datamodules.transforms.augmentation import (
    Chain,
    MultilabelMix,
    NoCall,
    PerClip,
    SpectrogramMasking,
)

RATE = 32000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    scale = torch.tensor([0.01, 0.1, 0.5, 1.0])[:, None]
    return {
        "waveform": scale * torch.randn(4, 8000),
        "target": torch.eye(4),
        "index": torch.arange(4),
    }


def rms(x):
    return x.square().mean(-1).sqrt()


@pytest.mark.parametrize("snr_db", [3.0, 30.0])
def test_a_partner_is_added_at_its_level_and_with_its_labels(batch, snr_db):
    mixed = MultilabelMix(1.0, snr_db, snr_db)(batch, generator())
    added = mixed["waveform"] - batch["waveform"]
    found = 20 * torch.log10(rms(batch["waveform"]) / rms(added))
    torch.testing.assert_close(found, torch.full((4,), snr_db), atol=1e-3, rtol=0)
    assert torch.equal(mixed["target"].sum(1), torch.full((4,), 2.0))
    assert torch.equal(mixed["target"].diagonal(), torch.ones(4))
    for clip in range(4):
        (partner,) = [c for c in range(4) if c != clip and mixed["target"][clip, c]]
        # Up to a circular shift, what was added is the partner.
        ours, theirs = (np.abs(np.fft.rfft(x)) for x in (added[clip], batch["waveform"][partner]))
        np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), atol=1e-3)


def test_several_partners_are_different_clips(batch):
    mixed = MultilabelMix(1.0, max_partners=3)
    counts = {int(n) for seed in range(20) for n in mixed(batch, generator(seed))["target"].sum(1)}
    assert counts == {2, 3, 4}


def test_mixing_never_changes_its_input_and_repeats_itself(batch):
    before = batch["waveform"].clone()
    one, two = (MultilabelMix(0.5)(batch, generator(3)) for _ in range(2))
    assert torch.equal(batch["waveform"], before)
    assert torch.equal(one["waveform"], two["waveform"])
    unchanged = MultilabelMix(0.0)(batch, generator())
    assert torch.equal(unchanged["waveform"], before)


def test_a_batch_of_one_and_silence_are_harmless(batch):
    alone = {key: value[:1] for key, value in batch.items()}
    assert torch.equal(MultilabelMix(1.0)(alone, generator())["waveform"], alone["waveform"])
    silent = {**batch, "waveform": torch.zeros(4, 8000)}
    assert torch.equal(MultilabelMix(1.0)(silent, generator())["waveform"], silent["waveform"])


def test_audiomentations_clip_by_clip(batch):
    gain = PerClip(audiomentations.Gain(-18.0, 6.0, p=1.0), RATE)
    louder = gain(batch, generator())
    factor = rms(louder["waveform"]) / rms(batch["waveform"])
    assert len(set(factor.tolist())) == 4
    assert ((20 * factor.log10() >= -18.01) & (20 * factor.log10() <= 6.01)).all()
    torch.testing.assert_close(louder["waveform"], factor[:, None] * batch["waveform"])


def test_global_random_numbers_are_left_alone(batch):
    noise = PerClip(audiomentations.AddColorNoise(3.0, 30.0, -6.02, 6.02, p=1.0), RATE)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    one = noise(batch, generator(5))
    SpectrogramMasking(5, 1.0, 5, 1.0)(torch.ones(2, 20, 30), generator())
    drawn = random.random(), np.random.rand(), float(torch.rand(()))
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert drawn == (random.random(), np.random.rand(), float(torch.rand(())))
    assert torch.equal(one["waveform"], noise(batch, generator(5))["waveform"])
    assert not torch.equal(one["waveform"], noise(batch, generator(6))["waveform"])


@pytest.fixture
def noises(tmp_path):
    (tmp_path / "deep").mkdir()
    ramp = np.linspace(-0.5, 0.5, 4 * RATE)
    soundfile.write(tmp_path / "deep" / "ramp.wav", ramp, RATE, subtype="FLOAT")
    return tmp_path


def test_no_call_replaces_sound_and_labels(batch, noises):
    replaced = NoCall(str(noises), 1.0, RATE)(batch, generator())
    assert not replaced["target"].any()
    steps = replaced["waveform"].diff(dim=1)
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / (4 * RATE - 1)), atol=1e-6, rtol=0)
    assert len({float(x[0]) for x in replaced["waveform"]}) == 4
    some = NoCall(str(noises), 0.5, RATE)(batch, generator())
    kept = some["target"].any(1)
    assert 0 < int(kept.sum()) < 4
    assert torch.equal(some["waveform"][kept], batch["waveform"][kept])


def test_no_call_needs_recordings(tmp_path):
    with pytest.raises(FileNotFoundError, match="recordings without birds"):
        NoCall(str(tmp_path))


def test_masks_are_bands_and_stretches_of_their_own():
    power = torch.rand(16, 60, 80) + 1
    masked = SpectrogramMasking(20, 1.0, 30, 0.0)(power, generator())
    bands = (masked == 0).all(2)
    assert torch.equal(bands, (masked == 0).any(2))
    widths = bands.sum(1)
    assert 0 < int(widths.max()) <= 20
    assert len(set(widths.tolist())) > 5
    assert int((bands.int().diff(dim=1) == 1).sum(1).max()) <= 1
    stretches = (SpectrogramMasking(20, 0.0, 30, 1.0)(power, generator()) == 0).all(1)
    assert 0 < int(stretches.sum(1).max()) <= 30
    assert torch.equal(SpectrogramMasking(20, 0.0, 30, 0.0)(power, generator()), power)


def test_one_coin_per_batch():
    power = torch.ones(4, 60, 80)
    changed = [
        bool((SpectrogramMasking(60, 0.5, 80, 0.0)(power, generator(s)) == 0).any())
        for s in range(60)
    ]
    assert 15 < sum(changed) < 45


def test_a_chain_applies_its_parts_in_order(batch, noises):
    chain = Chain([MultilabelMix(1.0), NoCall(str(noises), 1.0, RATE)])
    assert not chain(batch, generator())["target"].any()
    other = Chain([NoCall(str(noises), 1.0, RATE), MultilabelMix(1.0)])
    assert not other(batch, generator())["target"].any()
    assert not torch.equal(
        chain(batch, generator())["waveform"], other(batch, generator())["waveform"]
    )
