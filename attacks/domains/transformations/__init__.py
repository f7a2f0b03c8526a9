"""Transformations of sounds with parameters that an attack can search."""

from steadyear.attacks.domains.transformations.base import Transformation
from steadyear.attacks.domains.transformations.gain import Gain
from steadyear.attacks.domains.transformations.low_pass import LowPass
from steadyear.attacks.domains.transformations.noise import BackgroundNoise
from steadyear.attacks.domains.transformations.pitch import Pitch
from steadyear.attacks.domains.transformations.quantisation import SpectralQuantisation
from steadyear.attacks.domains.transformations.room import RoomImpulseResponse
from steadyear.attacks.domains.transformations.tempo import Tempo

__all__ = [
    "BackgroundNoise",
    "Gain",
    "LowPass",
    "Pitch",
    "RoomImpulseResponse",
    "SpectralQuantisation",
    "Tempo",
    "Transformation",
]
