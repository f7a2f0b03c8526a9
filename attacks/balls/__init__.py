"""Balls: which perturbations are allowed, clip by clip."""

from steadyear.attacks.balls.bands import FrequencyMask
from steadyear.attacks.balls.base import Ball, NormBall
from steadyear.attacks.balls.l1 import L1
from steadyear.attacks.balls.norms import L2, Linf
from steadyear.attacks.balls.psychoacoustic import Psychoacoustic
from steadyear.attacks.balls.snr import SNR
from steadyear.attacks.balls.unbounded import Unbounded
from steadyear.foundation.import_room import concrete_subclasses, import_room

import_room(__name__)


def concrete_balls() -> list[type[Ball]]:
    """Every ball that can be made; a file in this room is enough to add one."""
    return concrete_subclasses(Ball, __name__)


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
