"""Songs of made-up birds, recorded close by or in a noisy landscape.

A species is a phrase: syllables that glide from one frequency to another, with a contour, a rhythm,
a number of repetitions and a buzz. An individual sings it a little higher, faster or longer than
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, lfilter

Floats = npt.NDArray[np.float64]

_FADE = 0.005
_PEAK = 0.5


@dataclass(frozen=True)
class Species:
    """What all birds of a species sing.

    Attributes:
        name: Its code.
        start_hz: Frequency at which a syllable begins, in Hz.
        end_hz: Frequency at which it ends, in Hz.
        arch: How far it rises above a straight glide in its middle, as a share of ``start_hz``.
        syllable: Length of a syllable in seconds.
        gap: Silence between two syllables in seconds.
        repeats: Syllables of a phrase.
        buzz_hz: Rate of the amplitude modulation in Hz; 0 is a pure whistle.
        overtone: Level of the octave, between 0 and 1.
    """

    name: str
    start_hz: float
    end_hz: float
    arch: float
    syllable: float
    gap: float
    repeats: int
    buzz_hz: float = 0.0
    overtone: float = 0.0


SPECIES = (
    Species("falling_whistle", 5200, 2800, 0.0, 0.45, 0.20, 2, overtone=0.2),
    Species("rising_whistle", 2600, 4800, 0.0, 0.40, 0.25, 2, overtone=0.2),
    Species("arched_chirp", 3600, 3600, 0.35, 0.12, 0.10, 6, overtone=0.1),
    Species("fast_trill", 6200, 5400, 0.0, 0.035, 0.025, 24),
    Species("slow_trill", 4300, 3500, 0.0, 0.070, 0.060, 11),
    Species("buzz", 6800, 6500, 0.0, 0.60, 0.30, 1, buzz_hz=90.0),
    Species("low_hoot", 850, 800, 0.05, 0.35, 0.35, 2, overtone=0.4),
    Species("harsh_caw", 1700, 1400, 0.1, 0.25, 0.25, 3, buzz_hz=60.0, overtone=0.8),
)
"""Some share a band, a contour or a rhythm, so that none of these alone tells them apart."""


def phrase(species: Species, rng: np.random.Generator, sample_rate: int) -> Floats:
    """One phrase of one individual, peak 1.

    Args:
        species: What it sings.
        rng: Random numbers of the individual.
        sample_rate: Sampling rate in Hz.
    """
    pitch, pace = rng.uniform(0.92, 1.08), rng.uniform(0.85, 1.15)
    repeats = max(1, round(species.repeats * rng.uniform(0.8, 1.3)))
    length = round(species.syllable * pace * sample_rate)
    along = np.linspace(0.0, 1.0, length)
    glide = species.start_hz + (species.end_hz - species.start_hz) * along
    frequency = pitch * (glide + species.arch * species.start_hz * np.sin(np.pi * along))
    turn = 2 * np.pi * np.cumsum(frequency) / sample_rate
    syllable = np.sin(turn) + species.overtone * np.sin(2 * turn)
    if species.buzz_hz:
        syllable *= 0.5 + 0.5 * np.sin(
            2 * np.pi * species.buzz_hz * np.arange(length) / sample_rate
        )
    syllable *= np.minimum(1.0, np.minimum(along, 1 - along) * length / (_FADE * sample_rate))
    silence = np.zeros(round(species.gap * pace * sample_rate))
    song = np.concatenate([np.concatenate([syllable, silence]) for _ in range(repeats)])
    peak: Floats = song / np.abs(song).max()
    return peak


def focal(species: Species, rng: np.random.Generator, sample_rate: int, seconds: float) -> Floats:
    """A recording aimed at one bird: close, dry, hardly any noise.

    Args:
        species: Who sings.
        rng: Random numbers of the recording.
        sample_rate: Sampling rate in Hz.
        seconds: Its length.
    """
    samples = round(seconds * sample_rate)
    scene = np.zeros(samples)
    for _ in range(int(rng.integers(1, 3))):
        _place(scene, phrase(species, rng, sample_rate), rng)
    return _mixed(scene, _noise(samples, rng, sample_rate), rng.uniform(20, 35))


def soundscape(
    present: Sequence[Species], rng: np.random.Generator, sample_rate: int, seconds: float
) -> Floats:
    """What a recorder in the landscape hears: several birds far away, echoes, wind and insects.

    Args:
        present: The species; may be empty.
        rng: Random numbers of the recording.
        sample_rate: Sampling rate in Hz.
        seconds: Its length.
    """
    samples = round(seconds * sample_rate)
    scene = np.zeros(samples)
    for species in present:
        song = phrase(species, rng, sample_rate) * 10 ** (rng.uniform(-9, 0) / 20)
        _place(scene, song, rng)
    scene = fftconvolve(scene, _echo(rng, sample_rate))[:samples]
    noise = _noise(samples, rng, sample_rate) + _insects(samples, rng, sample_rate)
    return _mixed(scene, noise, rng.uniform(-3, 9))


def _place(scene: Floats, song: Floats, rng: np.random.Generator) -> None:
    song = song[: len(scene)]
    start = int(rng.integers(0, len(scene) - len(song) + 1))
    scene[start : start + len(song)] += song


def _mixed(scene: Floats, noise: Floats, snr_db: float) -> Floats:
    # Relative to the loud parts: a phrase fills only a part of the recording.
    loud = np.sqrt(np.mean(scene**2)) or 0.1
    level = loud / 10 ** (snr_db / 20) / np.sqrt(np.mean(noise**2))
    mixture = scene + level * noise
    peak: Floats = _PEAK * mixture / np.abs(mixture).max()
    return peak


def _noise(samples: int, rng: np.random.Generator, sample_rate: int) -> Floats:
    # White noise through one pole: wind is loudest below a few hundred hertz.
    pole = np.exp(-2 * np.pi * rng.uniform(200, 1500) / sample_rate)
    wind = np.asarray(lfilter([1 - pole], [1, -pole], rng.standard_normal(samples)))
    noise: Floats = wind / wind.std() + 0.3 * rng.standard_normal(samples)
    return noise


def _insects(samples: int, rng: np.random.Generator, sample_rate: int) -> Floats:
    time = np.arange(samples) / sample_rate
    tone = np.sin(2 * np.pi * rng.uniform(5000, 9000) * time)
    chorus: Floats = tone * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(15, 40) * time))
    return rng.uniform(0, 0.8) * chorus


def _echo(rng: np.random.Generator, sample_rate: int) -> Floats:
    decay = rng.uniform(0.05, 0.25)
    time = np.arange(round(3 * decay * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(time)) * np.exp(-time / decay)
    echo: Floats = 0.4 * tail / np.sqrt(np.sum(tail**2))
    echo[0] += 1.0
    return echo
