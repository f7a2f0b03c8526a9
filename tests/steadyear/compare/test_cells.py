"""Cells of an attack grid in words."""

from __future__ import annotations

import inspect

import pytest

from steadyear import attacks
from steadyear.attacks import Ball
from steadyear.compare.load.cells import NORM_LABELS, AttackKey, Cell


def test_compare_knows_the_norm_of_every_ball() -> None:
    balls = [b for b in vars(attacks).values() if inspect.isclass(b) and issubclass(b, Ball)]
    norms = {ball.norm for ball in balls if not inspect.isabstract(ball)}
    assert norms == set(NORM_LABELS)


@pytest.mark.parametrize(
    ("domain", "norm", "words"),
    [
        ("spectrogram", "linf", "pgd at 0.1 z-units"),
        ("waveform", "l2", "pgd at 0.1 full-scale units"),
        ("waveform", "snr", "pgd at 0.1 amplitude ratio"),
        ("waveform", "masking", "pgd at 0.1 of the threshold"),
        ("semantic", "linf", "pgd at 0.1 of the box"),
        ("network.3", "linf", "pgd at 0.1 network.3"),
    ],
)
def test_budgets_have_a_unit(domain, norm, words) -> None:
    assert Cell(AttackKey("pgd", domain, norm), 0.1).budget_text == words
