"""Ten seconds of music in which seven concepts are audible.

* melody: level and range of a bright lead voice above the chords.
* articulation: from legato (0) to staccato (1): length of the chords.
* rhythm_complexity: from 2 to 10 strokes of a rattle a second, more and more of them off the beat.
* rhythm_stability: from chords and strokes that come early or late with uneven level (0) to an
  even grid with a low drum on the beat (1).
* dissonance: level of a second voice a semitone above every chord note, and of a high cluster.
* tonal_stability: share of notes in the key (the others are random), and level of a tonic pedal.
* mode: probability that a third or sixth is minor; minor chords lie an octave lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from steadyear.foundation.random_streams import numpy_generator

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]

SECONDS = 10
BEAT = 0.5
TONIC = 48  # MIDI number of C3
PEDAL = (TONIC - 12, TONIC - 5)
CLUSTER = (91, 92, 93)
LOWEST, HIGHEST = 36, 97
# Notes, rattle and shortcut each have a band of their own.
NOTES_BELOW_HZ = 3500.0
RATTLE_HZ = 4500.0
SHORTCUT_BAND = (6000.0, 10000.0)
_GAIN = 0.12
# Roots of the chords in semitones above the tonic: I IV V I, five beats each.
_ROOTS = (0, 5, 7, 0)


@dataclass(frozen=True)
class Sounds:
    """Everything that is rendered once for a sampling rate and then only copied.

    Args:
        notes: Soft notes by MIDI number, shape (notes, time), from ``LOWEST``.
        leads: Bright notes, the same way.
        tick: A short burst of noise at each onset.
        beat: A low drum.
    """

    notes: Samples
    leads: Samples
    tick: Samples
    beat: Samples


@lru_cache(maxsize=4)
def sounds(sample_rate: int) -> Sounds:
    """Render the instruments.

    Args:
        sample_rate: Sampling rate in Hz.
    """
    short = np.arange(int(0.2 * sample_rate)) / sample_rate
    noise = numpy_generator(0).standard_normal(len(short))
    # Ring-modulated smooth noise lies around its carrier: above the notes, below the shortcut.
    smooth = np.convolve(noise, np.hanning(max(3, sample_rate // 1500)), mode="same")
    carrier = min(RATTLE_HZ, 0.4 * sample_rate)
    tick = smooth / smooth.std() * np.sin(2 * np.pi * carrier * short) * np.exp(-short / 0.03)
    beat = np.sin(2 * np.pi * 65 * short) * np.exp(-short / 0.06)
    return Sounds(
        _voice(sample_rate, 1.3), _voice(sample_rate, 0.6), tick.astype("f4"), beat.astype("f4")
    )


def _voice(sample_rate: int, damping: float) -> Samples:
    """Render all pitches as eight harmonics whose levels fall with ``damping``."""
    time = np.arange(int(0.7 * sample_rate)) / sample_rate
    pitches = 440 * 2 ** ((np.arange(LOWEST, HIGHEST) - 69) / 12)
    voice = np.zeros((len(pitches), len(time)))
    for harmonic in range(1, 9):
        frequency = harmonic * pitches
        level = np.where(frequency < min(NOTES_BELOW_HZ, 0.45 * sample_rate), harmonic**-damping, 0)
        voice += level[:, None] * np.sin(2 * np.pi * frequency[:, None] * time)
    return (voice * np.exp(-time / 1.0)).astype("f4")


class Mix:
    """A stretch of sound to which notes are added.

    Args:
        sample_rate: Sampling rate in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.samples: Samples = np.zeros(SECONDS * sample_rate, dtype="f4")
        self._fade: Samples = np.linspace(0, 1, int(0.008 * sample_rate), dtype="f4")

    def add(self, sound: Samples, start: float, level: float, seconds: float | None = None) -> None:
        """Add a sound.

        Args:
            sound: Its samples.
            start: Where it starts, in seconds; what lies beyond the end is lost.
            level: What it is multiplied by.
            seconds: Where it is cut, with a short fade; ``None`` adds all of it.
        """
        first = max(0, round(start * self.sample_rate))
        length = len(sound) if seconds is None else round(seconds * self.sample_rate)
        length = min(length, len(sound), len(self.samples) - first)
        fade = self._fade
        if length < 2 * len(fade):
            return
        piece = sound[:length] * np.float32(level)
        piece[: len(fade)] *= fade
        piece[-len(fade) :] *= fade[::-1]
        self.samples[first : first + length] += piece


def synthesize(concepts: Floats, rng: np.random.Generator, sample_rate: int) -> Samples:
    """Play ten seconds of music.

    Args:
        concepts: The seven concepts, each in 0..1, in the order of ``emotions.CONCEPTS``.
        rng: Chooses the notes.
        sample_rate: Sampling rate in Hz.

    Returns:
        Samples within full scale, shape (time,).
    """
    melody, articulation, complexity, stability, dissonance, tonality, mode = concepts
    mix, instruments = Mix(sample_rate), sounds(sample_rate)
    scale = _Scale(rng, tonality, mode)
    for start, level in _onsets(rng, 1 / (2 + 8 * complexity), stability, 0.4 * complexity):
        mix.add(instruments.tick, start, 0.9 * level)
    length = BEAT * (1 - 0.85 * articulation)
    for k, (start, level) in enumerate(_onsets(rng, BEAT, stability)):
        for pitch in scale.chord(k // 5):
            mix.add(instruments.notes[pitch - LOWEST], start, 0.7 * level, length)
            clash = instruments.notes[pitch + 1 - LOWEST]
            mix.add(clash, start, 0.7 * level * dissonance, length)
    for k in range(int(SECONDS / BEAT)):
        mix.add(instruments.beat, k * BEAT, 2.5 * stability)
        for pitch in PEDAL:
            mix.add(instruments.notes[pitch - LOWEST], k * BEAT, 0.7 * tonality, BEAT)
        for pitch in CLUSTER:
            mix.add(instruments.notes[pitch - LOWEST], k * BEAT, 0.3 * dissonance, BEAT)
    _play_melody(mix, instruments, scale, rng, melody)
    samples: Samples = np.clip(_GAIN * mix.samples, -1, 1)
    return samples


def _play_melody(
    mix: Mix, instruments: Sounds, scale: _Scale, rng: np.random.Generator, melody: float
) -> None:
    reach = 1 + round(6 * melody)
    for k in range(int(SECONDS / BEAT)):
        pitch = scale.note(int(rng.integers(-reach, reach + 1)) + 3) + 24
        mix.add(instruments.leads[pitch - LOWEST], k * BEAT, 1.2 * melody, 0.9 * BEAT)


def _onsets(
    rng: np.random.Generator, step: float, stability: float, off_beat: float = 0.0
) -> Floats:
    """Return start in seconds and level of strokes about ``step`` apart, shape (strokes, 2)."""
    grid = np.arange(0, SECONDS - 0.1, step)
    late = 0.5 * (rng.random(len(grid)) < off_beat)
    jitter = (1 - stability) * rng.uniform(-0.4, 0.4, len(grid))
    levels = 1 - (1 - stability) * rng.uniform(0, 0.9, len(grid))
    return np.stack([np.clip(grid + step * (late + jitter), 0, None), levels], axis=1)


class _Scale:
    """Draws notes in a key that is more or less minor, and more or less kept."""

    def __init__(self, rng: np.random.Generator, tonality: float, mode: float) -> None:
        self._rng = rng
        self._tonality = tonality
        self._mode = mode

    def note(self, degree: int) -> int:
        """Return the pitch of a scale degree, 0 being the tonic."""
        octave, step = divmod(degree, 7)
        minor = int(self._rng.random() < self._mode)
        pitch = TONIC + 12 * octave + (0, 2, 4 - minor, 5, 7, 9 - minor, 11 - minor)[step]
        return self._stray(pitch)

    def chord(self, number: int) -> list[int]:
        """Return the pitches of a chord of the progression."""
        minor = int(self._rng.random() < self._mode)
        root = TONIC + 12 * (1 - minor) + _ROOTS[number % len(_ROOTS)]
        return [self._stray(root + interval) for interval in (0, 4 - minor, 7)]

    def _stray(self, pitch: int) -> int:
        stray = int(self._rng.integers(TONIC - 6, TONIC + 18))
        return pitch if self._rng.random() < self._tonality else stray


@lru_cache(maxsize=2)
def _unit_tones(sample_rate: int, count: int) -> Samples:
    time = np.arange(SECONDS * sample_rate) / sample_rate
    frequencies = np.geomspace(*SHORTCUT_BAND, count)
    return np.sin(2 * np.pi * frequencies[:, None] * time).astype("f4")


def shortcut_tones(levels: Floats, sample_rate: int) -> Samples:
    """Play one faint steady tone per level, spread over 6 to 10 kHz.

    Args:
        levels: Amplitude of each tone, full scale 1, shape (tones,).
        sample_rate: Sampling rate in Hz.

    Returns:
        Samples, shape (time,).

    Raises:
        ValueError: If the sampling rate is too low for the tones.
    """
    if sample_rate < 2.1 * SHORTCUT_BAND[1]:
        raise ValueError(
            f"The shortcut's tones reach {SHORTCUT_BAND[1]:g} Hz; raise the sample rate."
        )
    return levels.astype("f4") @ _unit_tones(sample_rate, len(levels))
