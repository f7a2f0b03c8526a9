"""Balls: which perturbations are allowed, clip by clip."""

from attacks.balls.base import Ball, NormBall
from attacks.balls.norms import L2, Linf
from attacks.balls.unbounded import Unbounded

__all__ = ["L2", "Ball", "Linf", "NormBall", "Unbounded"]
