"""The two norms that most attacks work in."""

from __future__ import annotations

import pytest

from steadyear.attacks import L2, Linf

DUAL = {Linf: 1, L2: 2}
"""Exponent of the dual norm."""
BALLS = pytest.mark.parametrize("ball", [Linf, L2])
