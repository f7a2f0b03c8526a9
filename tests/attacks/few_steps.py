"""Gradient attacks of few steps, and balls in which their paths differ."""

from __future__ import annotations

import pytest

from steadyear.attacks import BIM, FGSM, L2, PGD, Linf

BALLS = pytest.mark.parametrize("ball", [Linf(0.8), L2(3.0)], ids=str)
ATTACKS = {
    "pgd": lambda ball: PGD(ball, steps=3),
    "restarts": lambda ball: PGD(ball, steps=3, restarts=2, keep_best=False),
    "bim": lambda ball: BIM(ball, steps=3),
    "fgsm": FGSM,
}
