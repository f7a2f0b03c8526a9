"""When an attack on ratings counts as a success: the tolerance of an evaluation."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule

from steadyear.attacks import (
    PGD,
    AbsoluteError,
    BatchCorrelation,
    CrossEntropy,
    Linf,
    Towards,
    WorstOf,
)
from steadyear.attacks.objectives.regression import PredictionChange
from steadyear.callbacks import RobustnessEvaluation
from steadyear.callbacks.evaluation.tolerance import within_tolerance
from tests.callbacks import foreign_modules as foreign

DEVIATION = 0.17


class Data(LightningDataModule):
    label_deviation = DEVIATION

    def test_dataloader(self):
        return foreign.loader()


def evaluated(folder, tolerance, data=None) -> pd.DataFrame:
    attacks = {"pgd": PGD(Linf(), AbsoluteError(tolerance=9.0), steps=5)}
    callback = RobustnessEvaluation(attacks, [0.1, 0.5], tolerance=tolerance)
    module = foreign.seeded(foreign.Foreign)
    foreign.trainer(folder, callback).test(module, data or foreign.loader(), verbose=False)
    assert attacks["pgd"].objective.tolerance == 9.0  # the user's own attack stays as it is
    return pd.read_parquet(folder / "robustness.parquet")


@pytest.mark.parametrize(("tolerance", "number"), [(0.05, 0.05), ("labels", DEVIATION), (None, 9)])
def test_success_is_an_error_that_grows_by_more_than_the_tolerance(tmp_path, tolerance, number):
    table = evaluated(tmp_path, tolerance, Data())
    grown = table["attacked_error"] - table["clean_error"]
    assert (table["success"] == (grown > number)).all()
    assert table["success"].any() == (tolerance is not None)
    assert not table["success"].all()


def test_what_is_not_judged_by_ratings_stays_as_it_is():
    for objective in (CrossEntropy(), Towards(0.4), BatchCorrelation(), PredictionChange()):
        attack = PGD(Linf(0.1), objective)
        assert within_tolerance(attack, 0.3).objective is objective


def test_members_of_an_ensemble_share_the_tolerance():
    inner = PGD(Linf(0.1), AbsoluteError(tolerance=0.1), until_success=True)
    ensemble = WorstOf([inner, PGD(Linf(0.1))], AbsoluteError(tolerance=0.2))
    changed = within_tolerance(ensemble, 0.3)
    assert [a.objective.tolerance for a in (changed, *changed.attacks)] == [0.3] * 3
    assert [a.objective.tolerance for a in (ensemble, *ensemble.attacks)] == [0.2, 0.1, 0.1]


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf"), "raters"])
def test_what_is_no_tolerance_is_refused_at_once(tolerance):
    with pytest.raises(ValueError, match=r"number >= 0 .* 'labels'"):
        RobustnessEvaluation({"pgd": PGD(Linf())}, [0.1], tolerance=tolerance)


def test_labels_need_a_data_module_that_knows_them(tmp_path):
    with pytest.raises(MisconfigurationException, match="give the tolerance as a number"):
        evaluated(tmp_path, "labels")
    assert torch.is_grad_enabled()
