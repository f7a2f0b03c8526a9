"""Made-up birds: reproducible, told apart by ear and eye, harder in the landscape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steadyear.datamodules import SyntheticBirds
from steadyear.datamodules.datasets.synthetic_birds.data_module import SECONDS, SyntheticBirdClips
from steadyear.datamodules.datasets.synthetic_birds.synthesis import (
    SPECIES,
    focal,
    phrase,
    soundscape,
)
from steadyear.lightning_modules.frontends import BirdSetLogMel

RATE = 32000


def test_clips_are_reproducible_and_differ():
    one, two = (SyntheticBirdClips((4, 2, 4), 5) for _ in range(2))
    for clip in range(10):
        assert torch.equal(one.load(clip, RATE), two.load(clip, RATE))
    assert not torch.equal(one.load(0, RATE), SyntheticBirdClips((4, 2, 4), 6).load(0, RATE))
    assert not torch.equal(one.load(0, RATE), one.load(4, RATE))
    # A larger data set begins with the same clips.
    assert torch.equal(one.load(4, RATE), SyntheticBirdClips((9, 2, 4), 5).load(9, RATE))


def test_clips_are_five_seconds_of_sound_in_full_scale():
    source = SyntheticBirdClips((2, 1, 3), 0)
    for clip in range(6):
        sound = source.load(clip, RATE)
        assert sound.shape == (round(SECONDS * RATE),)
        assert sound.dtype == torch.float32
        assert 0.4 < float(sound.abs().max()) <= 0.5 + 1e-6


def test_labels_say_who_sings():
    source = SyntheticBirdClips((16, 8, 64), 0)
    present = [source.species(clip) for clip in range(88)]
    assert [len(s) for s in present[:24]] == [1] * 24
    assert {s[0] for s in present[:8]} == set(SPECIES)
    assert {len(s) for s in present[24:]} == {0, 1, 2, 3}
    for clip, names in enumerate(present):
        assert float(source.labels(clip).sum()) == len(names)


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.name)
def test_a_phrase_lies_in_its_band(species):
    song = phrase(species, np.random.default_rng(0), RATE)
    power = np.abs(np.fft.rfft(song)) ** 2
    frequency = np.fft.rfftfreq(len(song), 1 / RATE)
    low = 0.85 * min(species.start_hz, species.end_hz) - species.buzz_hz
    high = 1.15 * max(species.start_hz, species.end_hz) * (1 + species.arch) + species.buzz_hz
    inside = (frequency > low) & (frequency < high)
    octave = (frequency > 2 * low) & (frequency < 2 * high)
    assert power[inside | octave].sum() > 0.95 * power.sum()
    assert np.abs(song).max() == pytest.approx(1)


def share_of_noise(sound, species):
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    low = 0.8 * min(species.start_hz, species.end_hz)
    return power[frequency < low].sum() / power.sum()


def test_soundscapes_are_noisier_than_focal_recordings():
    species = SPECIES[3]
    shares = [
        [
            share_of_noise(make(np.random.default_rng(seed)), species)
            for make in (
                lambda rng: focal(species, rng, RATE, SECONDS),
                lambda rng: soundscape([species], rng, RATE, SECONDS),
            )
        ]
        for seed in range(10)
    ]
    close, far = np.mean(shares, axis=0)
    assert far > 10 * close


def test_batches_have_the_shape_of_birdset(tmp_path):
    data = SyntheticBirds(
        (8, 4, 6), batch_size=4, frontend=BirdSetLogMel(mean=0.0, std=1.0), cache_dir=str(tmp_path)
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["spectrogram"].shape == (4, 1, 128, 501)
    assert batch["target"].shape == (4, len(SPECIES))
    assert torch.equal(batch["target"].sum(1), torch.ones(4))
    assert data.target_names == [species.name for species in SPECIES]
    test = torch.cat([b["target"] for b in data.test_dataloader()])
    assert test.shape == (6, len(SPECIES))


def test_negative_settings_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        SyntheticBirds((1, -1, 1))
