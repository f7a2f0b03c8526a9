"""The worst of several attacks is one of attacks that choose from the same perturbations."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from steadyear.attacks import L2, PGD, Attack, FrequencyMask, Linf, Noise
from steadyear.callbacks import RobustnessEvaluation
from tests.callbacks import foreign_modules as foreign

BUDGETS = [0.1, 0.5]


def mask(high: float) -> FrequencyMask:
    return FrequencyMask(6, [1], [0.0, high])


def evaluate(folder, attacks: dict[str, Attack]):
    """The table, the worst figures, and the sanity check of the worst case."""
    trainer = foreign.trainer(folder, RobustnessEvaluation(attacks, BUDGETS))
    trainer.test(foreign.seeded(foreign.Foreign), foreign.loader(), verbose=False)
    figures = {n: float(v) for n, v in trainer.callback_metrics.items() if "worst" in n}
    report = json.loads((folder / "sanity.json").read_text())
    checks = {check["name"]: check for check in report["checks"]}
    return pd.read_parquet(folder / "robustness.parquet"), figures, checks.get("worst_case")


def worst(table, names, budget):
    rows = table[table["attack"].isin(names) & (table["budget"] == budget)]
    return rows.groupby("index")["attacked_error"].max().mean()


def test_attacks_in_different_masks_have_a_worst_case_each(tmp_path):
    attacks = {
        "strict": PGD(mask(-40.0), steps=3),
        "strict_noise": Noise(mask(-40.0)),
        "loose": PGD(mask(0.0), steps=3),
        "loose_noise": Noise(mask(0.0)),
        "alone": PGD(mask(-20.0), steps=3),
    }
    table, figures, check = evaluate(tmp_path, attacks)
    assert set(table["norm"]) == {"bands"}
    expected = {
        f"test/worst({'+'.join(names)})@{budget:g}/error": worst(table, names, budget)
        for names in (("strict", "strict_noise"), ("loose", "loose_noise"))
        for budget in BUDGETS
    }
    assert figures == pytest.approx(expected, rel=1e-5)
    assert len(set(figures.values())) == 4
    assert check["status"] == "PASS"
    assert check["where"].startswith("worst(")


def test_one_mask_that_is_written_twice_has_one_worst_case(tmp_path):
    attacks = {"pgd": PGD(mask(-20.0), steps=3), "noise": Noise(mask(-20.0))}
    table, figures, check = evaluate(tmp_path, attacks)
    expected = {f"test/worst@{b:g}/error": worst(table, attacks, b) for b in BUDGETS}
    assert figures == pytest.approx(expected, rel=1e-5)
    assert check["where"].startswith("worst@")


def test_a_norm_beside_others_has_a_worst_case_of_its_own(tmp_path):
    attacks = {"pgd": PGD(Linf(), steps=3), "l2": PGD(L2(), steps=3), "noise": Noise(Linf())}
    table, figures, _ = evaluate(tmp_path, attacks)
    expected = {
        f"test/worst(pgd+noise)@{b:g}/error": worst(table, ["pgd", "noise"], b) for b in BUDGETS
    }
    assert figures == pytest.approx(expected, rel=1e-5)


def test_a_single_attack_is_its_own_worst_case_unless_others_stand_beside_it(tmp_path):
    table, figures, check = evaluate(tmp_path / "one", {"pgd": PGD(Linf(), steps=3)})
    expected = {f"test/worst@{b:g}/error": worst(table, ["pgd"], b) for b in BUDGETS}
    assert figures == pytest.approx(expected, rel=1e-5)
    assert check is None
    two = {"linf": PGD(Linf(), steps=3), "l2": PGD(L2(), steps=3)}
    assert evaluate(tmp_path / "two", two)[1:] == ({}, None)
