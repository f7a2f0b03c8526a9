"""Balls: which perturbations are allowed, clip by clip."""

from attacks.balls.bands import FrequencyMask
from attacks.balls.base import Ball, NormBall
from attacks.balls.l1 import L1
from attacks.balls.norms import L2, Linf
from attacks.balls.psychoacoustic import Psychoacoustic
from attacks.balls.snr import SNR
from attacks.balls.unbounded import Unbounded

__all__ = [
    "L1",
    "L2",
    "SNR",
    "Ball",
    "FrequencyMask",
    "Linf",
    "NormBall",
    "Psychoacoustic",
    "Unbounded",
]
