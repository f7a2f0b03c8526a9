"""Transformations of sounds with parameters that an attack can search."""

from attacks.domains.transformations.base import Transformation
from attacks.domains.transformations.gain import Gain
from attacks.domains.transformations.low_pass import LowPass
from attacks.domains.transformations.noise import BackgroundNoise
from attacks.domains.transformations.pitch import Pitch
from attacks.domains.transformations.quantisation import SpectralQuantisation
from attacks.domains.transformations.room import Room
from attacks.domains.transformations.tempo import Tempo

__all__ = [
    "BackgroundNoise",
    "Gain",
    "LowPass",
    "Pitch",
    "Room",
    "SpectralQuantisation",
    "Tempo",
    "Transformation",
]
