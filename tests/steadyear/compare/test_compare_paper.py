"""Table 1 and Figures 3 and 4 of the music-emotion study, as outputs of a comparison."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steadyear.compare import Summary, compare
from steadyear.compare.tables.paper import study_table
from steadyear.import_logs.command import import_logs
from tests.steadyear.compare_runs import TARGETS, write_run

NUMBERS = ("clean-and-attacked.csv", "differences.csv", "predictions.csv")


@pytest.fixture(scope="module")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("study")
    import_logs(shared_data / "mer_logs", root / "runs")
    return root / "report", compare([root / "runs"], root / "report")


def test_the_printed_table_is_the_published_one(published: tuple[Path, Summary]) -> None:
    table = study_table(published[1])
    assert table.header[2:] == ["mean corr.", "MAE clean", "MAE attacked", "ΔMAE", "range"]
    assert table.rows == [
        ["a2e", "10", "0.73±0.02", "0.096 (0.10±0.01)", "1.786", "1.690±0.316", "-11.5..9.9"],
        ["a2m2e", "10", "0.68±0.02", "0.110 (0.11±0.01)", "1.158", "1.047±0.214", "-4.8..5.3"],
    ]
    assert "As Table 1 of Hoedt et al. (2025)" in table.caption
    page = (published[0] / "index.html").read_text(encoding="utf-8")
    assert all(f"{cell}<" in page for row in table.rows for cell in row)
    assert "As Figure 3 of Hoedt" in page
    assert "As Figure 4 of Hoedt" in page


def test_the_files_hold_what_the_logs_hold(
    published: tuple[Path, Summary], shared_data: Path
) -> None:
    folder, _ = published
    predictions = pd.read_csv(folder / "predictions.csv", dtype={"clip": str})
    assert len(predictions) == 2 * 10 * 36 * 8
    with (shared_data / "mer_logs" / "a2m2e" / "seed42.csv").open() as file:
        logged = next(csv.DictReader(file))
    clip = logged["file"].split(".")[0].strip("[']")
    one = f"system == 'a2m2e' and seed == 42 and clip == '{clip}'"
    mine = predictions.query(one)
    columns = {"true": "true-label", "clean": "orig-pred", "attacked": "new-pred"}
    for column, name in columns.items():
        values = [float(value) for value in logged[name].strip("[]").split()]
        assert mine[column].tolist() == pytest.approx(values, abs=1e-6)
    differences = pd.read_csv(folder / "differences.csv", dtype={"clip": str})
    (row,) = differences.query(one)["delta"]
    attacked = (mine["attacked"] - mine["true"]).abs().mean()
    assert row == pytest.approx(attacked - (mine["clean"] - mine["true"]).abs().mean(), abs=1e-12)


def test_the_numbers_agree_with_each_other(published: tuple[Path, Summary]) -> None:
    folder, summary = published
    table = pd.read_csv(folder / "clean-and-attacked.csv").set_index("system")
    seeds = pd.read_csv(folder / "differences.csv").groupby(["system", "seed"])["delta"].mean()
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["study"]
    for system, row, shown in zip(
        summary.systems, found["table"], found["differences"], strict=True
    ):
        mine = seeds[system.label]
        assert table.loc[system.label, "delta_mae_mean"] == pytest.approx(mine.mean(), rel=1e-12)
        assert table.loc[system.label, "delta_mae_std"] == pytest.approx(np.std(mine), rel=1e-12)
        spread = system.attacked[summary.headline].metrics["delta_mae"]
        assert (row["delta_mae_mean"], row["delta_mae_std"]) == (spread.mean, spread.std)
        assert (shown["label"], shown["n"]) == (system.label, 360)
        assert shown["mean"] == pytest.approx(spread.mean, rel=1e-12)
        assert shown["seeds"] == pytest.approx({str(s): v for s, v in spread.values.items()})
        assert np.mean(list(shown["targets"].values())) == pytest.approx(spread.mean, rel=1e-12)
        assert list(shown["quantiles"].values()) == sorted(shown["quantiles"].values())


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """One system of one seed, and one that did not meet the headline attack."""
    root = tmp_path_factory.mktemp("uneven")
    write_run(root / "runs", "one", targets=TARGETS[:1], shift=1.0)
    write_run(root / "runs", "weak", targets=TARGETS[:1], grid=[("noise", 0.01)])
    return root / "report", compare([root / "runs"], root / "report")


def test_what_is_not_there_is_not_shown(uneven: tuple[Path, Summary]) -> None:
    folder, summary = uneven
    one, weak = study_table(summary).rows
    assert "±" not in "".join(one)
    assert weak[0] == "weak"
    assert weak[4:] == ["—", "—", "—"]
    table = pd.read_csv(folder / "clean-and-attacked.csv").set_index("system")
    assert table.loc["weak"].filter(like="attacked").isna().all()
    assert set(pd.read_csv(folder / "differences.csv")["system"]) == {"one"}
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["study"]
    assert found["table"][1]["delta_mae_mean"] is None
    # Every output of this system moved by 1.0 * 0.1; those that were too low are closer now.
    assert one[5] == f"{found['differences'][0]['mean']:.3f}"
    assert abs(found["differences"][0]["mean"]) <= 0.1


def test_files_are_named_by_what_they_show(uneven: tuple[Path, Summary]) -> None:
    names = {path.name for path in uneven[0].iterdir()}
    assert names >= {*NUMBERS, "differences.png", "predictions.png"}
