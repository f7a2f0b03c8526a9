"""The attacks on a concept bottleneck, from their configuration to the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from steadyear.__main__ import main
from tests.small_runs import working_in

ROOT = Path(__file__).resolve().parents[3]
ATTACKS = ROOT / "configs/callbacks/bottleneck_attacks.yaml"
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("bottleneck")
    robustness = yaml.safe_load(ATTACKS.read_text())
    for name, attack in robustness["init_args"]["attacks"].items():
        if name != "noise":
            attack["init_args"]["steps"] = 15
    robustness["init_args"]["budgets"] = [0.1]
    tiny = {
        "model": {"init_args": {"network": {"init_args": {"width": 0.05}}}},
        "data": {"init_args": {"batch_size": 4, "excerpt_seconds": 2.0, "num_clips": [8, 4, 6]}},
        "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
        "logger": {"wandb": None},
    }
    (folder / "attacks.yaml").write_text(
        yaml.safe_dump({"callbacks": {"robustness": robustness}}, sort_keys=False)
    )
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    demo = str(ROOT / "configs/experiment/demo/a2m2e.yaml")
    files = (demo, "attacks.yaml", "tiny.yaml")
    arguments = [flag for file in files for flag in ("--config", file)]
    with working_in(folder):
        main(["fit", *arguments])
        main(["test", *arguments])
    return pd.read_parquet(folder / "runs/demo/a2m2e/seed0/robustness.parquet")


def changes(table: pd.DataFrame, attack: str, what: str) -> np.ndarray:
    rows = table[table["attack"] == attack]
    return np.stack(rows[f"attacked_{what}"]) - np.stack(rows[f"clean_{what}"])


def test_all_attacks_are_in_the_table(table) -> None:
    expected = {"noise", "output", "concepts", "output_concepts_held", "concepts_output_held"}
    assert set(table["attack"]) == expected
    assert (table.groupby("attack").size() == 6).all()
    assert (table["achieved_linf"] <= 0.1 * (1 + 1e-6)).all()


def test_concepts_are_attacked_where_they_are_read(table) -> None:
    def moved(attack: str) -> np.ndarray:
        return np.abs(changes(table, attack, "concepts")).mean(1)

    assert (moved("concepts") > moved("noise")).all()
    assert moved("concepts").mean() > moved("concepts_output_held").mean()
    success = table[table["attack"] == "concepts"]["success"].to_numpy()
    np.testing.assert_array_equal(success, moved("concepts") > 0.1)


@pytest.mark.parametrize(
    ("attack", "held"),
    [("output_concepts_held", "concepts"), ("concepts_output_held", "prediction")],
)
def test_what_is_held_stays(table, attack, held) -> None:
    largest = np.abs(changes(table, attack, held)).max(1)
    assert np.mean(largest <= TOLERANCE * (1 + 1e-4)) > 0.8
    success = table[table["attack"] == attack]["success"].to_numpy()
    assert (largest[success] <= TOLERANCE * (1 + 1e-4)).all()
