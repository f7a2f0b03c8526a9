from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error

from steadyear.compare import Summary, compare
from steadyear.compare.load.cells import AttackKey, Cell
from steadyear.compare.load.find import find_runs
from steadyear.compare.load.groups import group
from steadyear.compare.load.runs import read_run
from steadyear.compare.scores.regression import pearson
from steadyear.compare.serialize import summary_json
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import summarize
from tests.steadyear.compare_runs import CONCEPTS, GRID, TARGETS, write_run

PGD = Cell(AttackKey("pgd", "spectrogram", "linf"), 0.1)


def numbers(root: Path) -> Summary:
    return summarize(group([read_run(folder) for folder in find_runs([root])[0]]))


def test_pearson_agrees_with_scipy() -> None:
    draw = np.random.default_rng(0)
    left, right = draw.normal(size=(2, 30, 5))
    right += left
    expected = [pearsonr(left[:, k], right[:, k]).statistic for k in range(5)]
    np.testing.assert_allclose(pearson(left, right), expected, rtol=1e-12)


@pytest.mark.parametrize("bad", [0.1, np.nan, np.inf])
def test_pearson_is_undefined_for_constant_or_infinite_columns(bad: float) -> None:
    left = np.random.default_rng(0).normal(size=(9, 2))
    right = left.copy()
    right[:, 1] = bad
    result = pearson(right, left)
    assert result[0] == pytest.approx(1.0)
    assert math.isnan(result[1])


def test_spread_is_the_population_standard_deviation() -> None:
    spread = Spread({0: 1.0, 3: 2.0, 7: 6.0})
    assert spread.mean == pytest.approx(3.0)
    assert spread.std == pytest.approx(math.sqrt((4 + 1 + 9) / 3))
    assert spread.n == 3


def test_scores_agree_with_the_columns_of_the_table(tmp_path: Path) -> None:
    folder = write_run(tmp_path, targets=TARGETS)
    system = numbers(tmp_path).systems[0]
    frame = pq.read_table(folder / "robustness.parquet").to_pandas()
    rows = frame[(frame["attack"] == "pgd") & (frame["budget"] == 0.1)]
    target, clean, attacked = (
        np.stack(rows[name]) for name in ("target", "clean_prediction", "attacked_prediction")
    )
    metrics = {name: spread.mean for name, spread in system.attacked[PGD].metrics.items()}
    correlations = [pearsonr(attacked[:, k], target[:, k]).statistic for k in range(8)]
    assert metrics["mae"] == pytest.approx(mean_absolute_error(target, attacked), rel=1e-6)
    assert metrics["mae"] == pytest.approx(rows["attacked_error"].mean(), rel=1e-6)
    assert metrics["pearson"] == pytest.approx(np.mean(correlations), rel=1e-6)
    assert (metrics["lowest"], metrics["highest"]) == (attacked.min(), attacked.max())
    assert (metrics["gradient_queries"], metrics["success_rate"]) == (40, 0.5)
    assert math.isnan(metrics["snr_db"])
    assert system.clean.metrics["mae"].mean == pytest.approx(
        mean_absolute_error(target, clean), rel=1e-6
    )
    assert metrics["delta_mae"] == pytest.approx(
        rows["attacked_error"].mean() - rows["clean_error"].mean(), rel=1e-5
    )


def test_an_attack_that_shifts_every_output_keeps_r_and_costs_its_shift(tmp_path: Path) -> None:
    write_run(tmp_path, shift=100.0)
    system = numbers(tmp_path).systems[0]
    attacked = system.attacked[PGD]
    # A shift of 10 is larger than any error, so that no sign changes: MAE = 10 + mean(error).
    run = system.group.runs[0]
    expected = 10 + float((run.prediction - run.target).mean())
    assert attacked.metrics["mae"].mean == pytest.approx(expected, rel=1e-6)
    for name, clean in system.clean.of_targets.items():
        assert attacked.of_targets[name].mean == pytest.approx(clean.mean, abs=1e-5)


def test_concepts_are_scored_where_they_exist(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "a2mid2e", concepts=CONCEPTS)
    write_run(tmp_path, "a2e")
    without, with_concepts = numbers(tmp_path).systems
    frame = pq.read_table(folder / "robustness.parquet").to_pandas()
    rows = frame[(frame["attack"] == "pgd") & (frame["budget"] == 0.1)]
    moved = np.abs(np.stack(rows["attacked_concepts"]) - np.stack(rows["clean_concepts"]))
    changes = with_concepts.attacked[PGD].concept_change
    assert list(changes) == list(CONCEPTS)
    assert [each.mean for each in changes.values()] == pytest.approx(list(moved.mean(0)), rel=1e-6)
    assert set(with_concepts.clean.concept_pearson) == set(CONCEPTS)
    assert not without.attacked[PGD].concept_change
    assert "concept_mae" not in without.clean.metrics


def test_the_headline_is_the_strongest_attack_at_its_largest_budget(tmp_path: Path) -> None:
    write_run(tmp_path)
    summary = numbers(tmp_path)
    assert summary.headline == PGD
    assert [attack.name for attack in summary.attacks] == ["noise", "fgsm", "pgd"]
    assert summary.budgets(PGD.attack) == (0.01, 0.03, 0.1)


def test_seeds_of_a_system_are_one_group(tmp_path: Path) -> None:
    for system, seed in [("b", 1), ("b", 0), ("a", 0)]:
        write_run(tmp_path, system, seed, experiment=f"demo/{system}")
    summary = numbers(tmp_path)
    assert [(each.label, each.group.seeds) for each in summary.systems] == [
        ("a", (0,)),
        ("b", (0, 1)),
    ]
    assert dict(summary.systems[1].fit_seconds.values) == {0: 100.0, 1: 120.0}
    assert "0: a; 0, 1: b" in summary.warnings[-1]


def test_one_system_in_two_experiments_is_labelled_by_experiment(tmp_path: Path) -> None:
    write_run(tmp_path, "a2e", experiment="small")
    write_run(tmp_path, "a2e", experiment="large")
    write_run(tmp_path, "aa2e", experiment="small")
    assert [each.label for each in numbers(tmp_path).systems] == ["aa2e", "large", "small"]


def test_labels_stay_unique_when_experiments_share_systems(tmp_path: Path) -> None:
    for system in ("x", "y"):
        for experiment in ("one", "two"):
            write_run(tmp_path, system, experiment=experiment)
    labels = {each.label for each in numbers(tmp_path).systems}
    assert labels == {"one (x)", "one (y)", "two (x)", "two (y)"}


def test_missing_cells_are_told_and_left_empty(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", grid=GRID[:-1])
    summary = numbers(tmp_path)
    assert PGD not in summary.systems[1].attacked
    assert [line for line in summary.warnings if "b was not attacked" in line and "0.1" in line]


def test_the_headline_is_an_attack_that_all_systems_met(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    assert numbers(tmp_path).headline == PGD
    write_run(tmp_path, "b", grid=GRID[:-1])
    summary = numbers(tmp_path)
    assert all(summary.headline in each.attacked for each in summary.systems)
    assert [line for line in summary.readings if "fgsm at 0.1" in line]


def test_readings_name_the_losses_of_both_systems(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, "weak", seed, shift=50.0)
        write_run(tmp_path, "firm", seed, shift=20.0)
    summary = numbers(tmp_path)
    losses = {
        each.label: each.attacked[summary.headline].metrics["delta_mae"].mean
        for each in summary.systems
    }
    (sentence,) = summary.readings
    expected = f"firm loses {losses['firm']:.3f} MAE and weak loses {losses['weak']:.3f}"
    assert expected in sentence
    assert "do not overlap" in sentence


def test_json_has_every_number_and_no_nan(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "runs", "a2mid2e", seed, concepts=CONCEPTS, constant=True)
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    text = (tmp_path / "report" / "summary.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(text, parse_constant=refuse)
    assert found == json.loads(json.dumps(summary_json(summary)))
    assert found["format"] == 1
    assert found["headline"]["unit"] == "z-units"
    (system,) = found["systems"]
    assert system["clean"]["metrics"]["pearson"]["mean"] is None
    assert system["clean"]["target_pearson"]["valence"]["values"] == {"0": None, "1": None}
    assert system["clean"]["target_pearson"]["energy"]["n"] == 2
    assert len(system["attacked"]) == len(GRID)
    assert any("undefined for valence" in line for line in found["warnings"])
