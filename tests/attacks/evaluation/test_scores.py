"""Robustness scores against the reference arrays, and their edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from steadyear.attacks import robustness_scores, root_mean_squared_error, score_robustness
from steadyear.attacks.evaluation.scores import (
    deformation_robustness,
    performance_robustness,
    total_robustness,
)


def test_scores_equal_the_reference(shared_data):
    stored = np.load(shared_data / "reference" / "robustness_scores.npz")
    given = {name: torch.from_numpy(stored[name]) for name in stored}
    found = robustness_scores(
        given["prediction_clean"],
        given["prediction_attacked"],
        given["target"],
        given["attacker_target"],
    )
    for name, values in found._asdict().items():
        torch.testing.assert_close(values, given[name], rtol=1e-5, atol=0)


def test_any_loss_can_be_plugged_in():
    def distance(prediction, target):
        return (prediction - target).abs().sum(1)

    clean, attacked = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    target, wanted = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    scores = robustness_scores(clean, attacked, target, wanted, distance)
    # To the target 1 before and 4 after; to the attacker's 4 before and 1 after.
    assert scores.prs.item() == pytest.approx(math.exp(-3), rel=1e-6)
    assert scores.drs.item() == pytest.approx(math.exp(-3), rel=1e-6)
    assert scores.tars.item() == pytest.approx(math.exp(-3), rel=1e-6)
    untargeted = robustness_scores(clean, attacked, target, loss=distance)
    assert untargeted.prs == scores.prs
    assert untargeted.drs is None
    assert untargeted.tars is None


def test_the_default_loss_is_the_root_mean_squared_error():
    prediction = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]])
    assert root_mean_squared_error(prediction, torch.ones(2, 1, 2)).tolist() == pytest.approx(
        [math.sqrt(2), 0]
    )


@pytest.mark.parametrize(
    ("clean", "attacked", "prs"),
    [(0, 0, 1), (0, 0.5, 0), (0.5, 0, 1), (0.5, 0.5, 1), (0.5, 1.0, math.exp(-1)), (1, 1e6, 0)],
)
def test_edges_of_prs_and_drs(clean, attacked, prs):
    clean, attacked = torch.tensor([float(clean)]), torch.tensor([float(attacked)])
    assert performance_robustness(clean, attacked).item() == pytest.approx(prs, rel=1e-6)
    # Nearer to the attacker's target is what farther from the true one is.
    assert deformation_robustness(attacked, clean).item() == pytest.approx(prs, rel=1e-6)


@pytest.mark.parametrize(
    ("prs", "drs", "beta", "tars"),
    [(0, 0, 1, 0), (1, 0, 1, 0), (1, 1, 1, 1), (0.5, 0.25, 1, 1 / 3), (0.5, 0.25, 2, 0.625 / 2.25)],
)
def test_tars_is_the_f_measure(prs, drs, beta, tars):
    found = total_robustness(torch.tensor([float(prs)]), torch.tensor([float(drs)]), beta)
    assert found.item() == pytest.approx(tars, rel=1e-6)


@pytest.mark.parametrize(
    ("clean", "attacked", "score"),
    [(0, 0, 1), (0.4, 0, 0), (0.4, 0.4, 1), (0.4, 0.6, 1), (0.4, 0.2, math.exp(-1))],
)
def test_score_of_a_data_set(clean, attacked, score):
    assert score_robustness(clean, attacked) == pytest.approx(score, rel=1e-6)


def test_undefined_scores_stay_undefined():
    assert math.isnan(score_robustness(math.nan, 0.2))
    assert math.isnan(score_robustness(0.2, math.nan))
