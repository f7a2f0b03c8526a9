from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import spectrogram

from steadyear.datamodules import SyntheticMusic
from steadyear.datamodules.datasets.synthetic_music.data_module import SyntheticClips
from steadyear.datamodules.datasets.synthetic_music.emotions import (
    CONCEPTS,
    EMOTIONS,
    WEIGHTS,
    emotions_from_concepts,
)
from steadyear.datamodules.datasets.synthetic_music.synthesis import (
    CLUSTER,
    shortcut_tones,
    synthesize,
)
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank

RATE = 22050
RATTLE = {"melody": 0, "dissonance": 0, "tonal_stability": 0, "articulation": 1}
"""Leaves the band of the rattle to the rattle."""


def _play(seed: int = 0, **concepts: float) -> np.ndarray:
    values = np.array([concepts.get(name, 0.5) for name in CONCEPTS])
    return synthesize(values, np.random.default_rng(seed), RATE)


def _bands(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the energy between two frequencies over time, a frame each 5.8 ms."""
    frequencies, _, power = spectrogram(samples, RATE, nperseg=1024, noverlap=896)
    return power[(frequencies >= low) & (frequencies < high)].sum(0)


def _pitch_energy(samples: np.ndarray, pitches: list[int]) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    centres = [440 * 2 ** ((pitch - 69) / 12) for pitch in pitches]
    return float(sum(power[np.abs(frequencies - f) < f * 0.01].sum() for f in centres))


def _strokes(samples: np.ndarray) -> np.ndarray:
    """Return the times of the rattle's strokes in frames."""
    level = np.log(_bands(samples, 4000, 5000) + 1e-9)
    rise = level[4:] - level[:-4]
    above = rise > 2
    return np.flatnonzero(above[1:] & ~above[:-1])


def test_sound_is_finite_and_within_full_scale() -> None:
    corners = [np.zeros(7), np.ones(7), *np.random.default_rng(0).integers(0, 2, (6, 7))]
    for corner in corners:
        samples = synthesize(corner.astype(float), np.random.default_rng(0), RATE)
        assert samples.shape == (10 * RATE,)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1
        assert (np.abs(samples) == 1).mean() < 1e-4


def test_melody_is_louder_above_the_chords() -> None:
    quiet, loud = (_bands(_play(melody=m, dissonance=0), 900, 2500).mean() for m in (0, 1))
    assert loud > 4 * quiet


def test_staccato_chords_leave_gaps() -> None:
    settings = {"melody": 0, "tonal_stability": 0, "dissonance": 0, "rhythm_stability": 1}
    gaps = []
    for articulation in (0, 1):
        level = _bands(_play(articulation=articulation, **settings), 120, 1000)
        gaps.append((level < 0.01 * level.max()).mean())
    assert gaps[0] < 0.25
    assert gaps[1] > 0.5


def test_rhythm_complexity_raises_the_density_of_strokes() -> None:
    settings = {**RATTLE, "rhythm_stability": 1}
    counts = [len(_strokes(_play(rhythm_complexity=c, **settings))) for c in (0, 0.5, 1)]
    assert counts[0] == pytest.approx(20, abs=1)
    # Of 60 and 100 strokes, those off the beat run together with the next.
    assert 2 * counts[0] < counts[1] < counts[2] / 1.1


def test_unstable_rhythm_is_irregular_and_has_no_beat() -> None:
    settings = {**RATTLE, "rhythm_complexity": 0}
    stable, unstable = (_play(rhythm_stability=s, **settings) for s in (1, 0))
    spread = [np.diff(_strokes(samples)).std() for samples in (stable, unstable)]
    assert spread[1] > 3 * spread[0] + 5
    assert _bands(stable, 40, 90).mean() > 10 * _bands(unstable, 40, 90).mean()


def test_dissonance_sounds_semitones_together() -> None:
    consonant, dissonant = (_play(dissonance=d, melody=0, tonal_stability=1) for d in (0, 1))
    assert _pitch_energy(dissonant, list(CLUSTER)) > 10 * _pitch_energy(consonant, list(CLUSTER))
    # C sharp is no note of C major or C minor.
    assert _pitch_energy(dissonant, [49, 61]) > 5 * _pitch_energy(consonant, [49, 61])


def test_tonal_stability_keeps_notes_in_the_key() -> None:
    settings = {"dissonance": 0, "melody": 0}
    stray, kept = (_play(tonal_stability=t, **settings) for t in (0, 1))
    outside = [49, 54, 61, 66]  # C sharp and F sharp
    assert _pitch_energy(stray, outside) > 10 * _pitch_energy(kept, outside)
    assert _pitch_energy(kept, [36, 43]) > 10 * _pitch_energy(stray, [36, 43])


def test_mode_turns_thirds_minor() -> None:
    settings = {"dissonance": 0, "melody": 0, "tonal_stability": 1}
    major, minor = (_play(mode=m, **settings) for m in (0, 1))
    # E flat against E, where each mode plays its chords.
    assert _pitch_energy(major, [64]) > 5 * _pitch_energy(major, [63])
    assert _pitch_energy(minor, [51]) > 5 * _pitch_energy(minor, [52])


def test_emotions_follow_the_documented_formula() -> None:
    assert emotions_from_concepts(np.full(7, 0.5)) == pytest.approx(np.full(8, 0.5))
    concepts = np.random.default_rng(0).random((500, 7))
    values = emotions_from_concepts(concepts)
    assert values.min() > 0.1
    assert values.max() < 0.9
    k, j = EMOTIONS.index("fear"), CONCEPTS.index("dissonance")
    expected = 0.5 + 0.4 * np.tanh(WEIGHTS[k, j])
    assert emotions_from_concepts(np.where(np.arange(7) == j, 1.0, 0.5))[k] == pytest.approx(
        expected
    )
    assert (np.abs(WEIGHTS).sum(0) > 0.8).all()


def test_clip_depends_on_seed_part_and_number_alone() -> None:
    small, large = SyntheticClips((2, 1, 1), 0, 0.0), SyntheticClips((5, 3, 2), 0, 0.0)
    for name in small.clip_ids:
        i, j = small.clip_ids.index(name), large.clip_ids.index(name)
        torch.testing.assert_close(small.load(i, 8000), large.load(j, 8000), rtol=0, atol=0)
        assert small.identity(i) == large.identity(j)
        np.testing.assert_array_equal(small.ratings(i, 0.1), large.ratings(j, 0.1))
    sounds = {large.load(i, 8000).numpy().tobytes() for i in range(len(large))}
    other = SyntheticClips((5, 3, 2), 1, 0.0)
    assert len(sounds | {other.load(0, 8000).numpy().tobytes()}) == 11
    assert other.identity(0) != large.identity(0)


def test_raters_are_noisy_as_said() -> None:
    source = SyntheticClips((400, 0, 0), 0, 0.0)
    noise = [
        source.ratings(i, 0.05) - emotions_from_concepts(source.concepts(i)) for i in range(400)
    ]
    assert np.std(noise) == pytest.approx(0.05, rel=0.05)
    assert np.mean(noise) == pytest.approx(0, abs=0.004)


def test_shortcut_follows_the_emotions_except_in_the_test_clips() -> None:
    counts = (12, 12, 12)
    plain, cued = SyntheticClips(counts, 0, 0.0), SyntheticClips(counts, 0, 0.01)
    tones = (
        shortcut_tones(np.ones(1), RATE),
        np.stack([shortcut_tones(row, RATE) for row in np.eye(8)]),
    )
    assert tones[0].shape == (10 * RATE,)
    heard, felt = [], []
    for i in range(36):
        difference = (cued.load(i, RATE) - plain.load(i, RATE)).numpy()
        heard.append(difference @ tones[1].T / (tones[1] ** 2).sum(1) / 0.01)
        felt.append(emotions_from_concepts(plain.concepts(i)))
    np.testing.assert_allclose(heard[:24], felt[:24], atol=0.01)
    assert np.abs(np.array(heard[24:]) - felt[24:]).mean() > 0.1
    assert cued.identity(0) != plain.identity(0)


def test_shortcut_needs_room_above_the_music() -> None:
    with pytest.raises(ValueError, match="sample rate"):
        SyntheticClips((1, 0, 0), 0, 0.01).load(0, 16000)


def test_data_module(tmp_path: Path) -> None:
    module = SyntheticMusic(
        (6, 2, 3),
        frontend=LogFilterbank(mean=0.0, std=1.0),
        cache_dir=str(tmp_path),
        batch_size=3,
        rater_noise=0.0,
    )
    assert module.target_names == EMOTIONS
    assert module.concept_names == CONCEPTS
    module.prepare_data()
    module.setup("fit")
    assert [len(part) for part in module.splits] == [6, 2, 3]
    batch = next(iter(module.test_dataloader()))
    assert batch["spectrogram"].shape == (3, 1, 313, 149)
    assert [module.clip_ids[i] for i in batch["index"]] == [f"test-{i:05d}" for i in range(3)]
    expected = emotions_from_concepts(batch["concepts"].double().numpy())
    np.testing.assert_allclose(batch["target"], expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"shortcut": -1.0}, {"num_clips": (1, -1, 1)}])
def test_negative_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        SyntheticMusic(**wrong)
