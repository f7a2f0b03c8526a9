"""Lossy compression."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from steadyear.datamodules.transforms.corruptions.base import Corruption, Samples


class Codec(Corruption[float]):
    """Compresses with Ogg Vorbis in memory, by libsndfile, and decodes.

    Levels are the compression levels of libsndfile, from 0 to 1. Bit rates are means of synthetic
    bird recordings at 32 kHz; at other rates, and of other sounds, they differ. Vorbis takes any
    sampling rate, and what it gives back is in time with what it was given.

    ================= === === === === ===
    severity          1   2   3   4   5
    level             0.2 0.4 0.6 0.8 1.0
    bit rate [kbit/s] 105 86  71  62  51
    ================= === === === === ===
    """

    name = "codec"
    levels = (0.2, 0.4, 0.6, 0.8, 1.0)

    def corrupt(
        self, samples: Samples, sample_rate: int, level: float, rng: np.random.Generator
    ) -> Samples:
        """Encode and decode; see the base class."""
        with io.BytesIO() as file:
            soundfile.write(
                file, samples, sample_rate, format="OGG", subtype="VORBIS", compression_level=level
            )
            file.seek(0)
            decoded, _ = soundfile.read(file, dtype="float32")
        return np.asarray(decoded, np.float32)
