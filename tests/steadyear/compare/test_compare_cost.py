"""Cost against robustness."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steadyear.compare import Summary, compare
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.tables.cost import (
    cost_table,
    front,
    points,
    training_costs,
    training_gflops,
)
from tests.steadyear.compare_runs import write_run

SYSTEMS = {"cheap": (1.0, 0), "dear": (0.1, 1000), "waste": (3.0, 500)}


def write(root: Path, system: str, seed: int = 0, weakness: float = 1.0, **facts: Any) -> Path:
    folder = write_run(root, system, seed, weakness=weakness)
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("cost")
    for system, (weakness, queries) in SYSTEMS.items():
        for seed in (0, 1):
            facts = {"forward_gflops_per_clip": 0.5, "attack_gradient_queries": queries}
            facts |= {"training_clips": 100 + 10 * seed, "fit_seconds": None}
            write(root / "runs", system, seed, weakness, **facts)
    return root, compare([root / "runs"], root / "report")


def test_the_estimate() -> None:
    facts = {"forward_gflops_per_clip": 0.5, "training_clips": 100, "attack_gradient_queries": 40}
    assert training_gflops(facts) == 0.5 * (3 * 100 + 2 * 40)
    assert training_gflops(facts | {"attack_gradient_queries": 0}) == 150.0
    for name in facts:
        assert training_gflops(facts | {name: None}) is None
        assert training_gflops({key: facts[key] for key in facts if key != name}) is None


def test_the_front() -> None:
    places = {"a": (1.0, 5.0), "b": (2.0, 3.0), "c": (2.0, 4.0), "d": (3.0, 3.0), "e": (9.0, 1.0)}
    assert front(places) == ["a", "b", "e"]
    # Equal systems do not push each other off.
    assert front({"x": (1.0, 1.0), "y": (1.0, 1.0)}) == ["x", "y"]
    assert front({}) == []


def test_the_front_is_what_every_pair_says() -> None:
    draw = np.random.default_rng(0)
    places = {str(k): (float(a), float(b)) for k, (a, b) in enumerate(draw.integers(0, 6, (40, 2)))}
    best = front(places)
    for label, (cost, error) in places.items():
        beaten = any(
            c <= cost and e <= error and (c < cost or e < error) for c, e in places.values()
        )
        assert (label in best) == (not beaten)
    assert [places[label] for label in best] == sorted(places[label] for label in best)


def test_the_table_and_the_numbers(report: tuple[Path, Summary]) -> None:
    root, summary = report
    table = cost_table(summary)
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    assert rows["cheap"]["forward [GFLOPs]"] == "0.500"
    assert rows["cheap"]["training [GFLOPs]"] == "158±8"
    assert rows["dear"]["queries"] == "1000"
    assert rows["dear"]["training [GFLOPs]"] == "1158±8"
    assert rows["dear"]["training [s]"] == "—"
    fronts = {name: row["attacked front"] for name, row in rows.items()}
    assert fronts == {"cheap": "GFLOPs", "dear": "GFLOPs", "waste": "—"}
    frame = pd.read_csv(root / "report" / "cost.csv").set_index(["system", "seed"])
    assert frame.loc[("dear", 1), "training_gflops"] == 0.5 * (3 * 110 + 2 * 1000)
    attacked = summary.systems[1].attacked[summary.headline].metrics["mae"].values[1]
    assert frame.loc[("dear", 1), "mae_attacked"] == pytest.approx(attacked, rel=1e-12)
    found = json.loads((root / "report" / "summary.json").read_text())["cost"]
    assert found["systems"][1]["training_gflops"] == {"0": 1150.0, "1": 1165.0}
    assert found["fronts"][1] == {
        "cost": "training_gflops",
        "error": "attacked",
        "systems": ["cheap", "dear"],
    }


def test_the_page_shows_it(report: tuple[Path, Summary]) -> None:
    folder = report[0] / "report"
    assert (folder / "cost.png").is_file()
    assert "<h2>Cost</h2>" in (folder / "index.html").read_text(encoding="utf-8")


def test_without_costs_there_is_nothing(tmp_path: Path, report: tuple[Path, Summary]) -> None:
    out = tmp_path / "report"
    compare([report[0] / "runs"], out)
    for system in ("a", "b"):
        write(tmp_path / "runs", system, fit_seconds=None)
    summary = compare([tmp_path / "runs"], out)
    assert training_costs(summary) == []
    assert not (out / "cost.png").exists()
    assert not (out / "cost.csv").exists()
    assert "<h2>Cost</h2>" not in (out / "index.html").read_text(encoding="utf-8")
    found = json.loads((out / "summary.json").read_text())["cost"]
    assert found == {"systems": [], "fronts": []}


def test_a_system_with_a_hole_is_not_compared_by_the_rest(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path / "runs", "whole", seed)
        write(tmp_path / "runs", "hole", seed, fit_seconds=7.0 if seed else None)
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    assert [cost.system.label for cost in training_costs(summary)] == ["whole"]
    # One system alone has a row and no front to draw.
    assert not (tmp_path / "report" / "cost.png").exists()


def test_devices_are_named_where_they_differ(tmp_path: Path) -> None:
    write(tmp_path / "runs", "a", device="cpu")
    assert "here:" not in cost_table(compare([tmp_path / "runs"], tmp_path / "r")).caption
    write(tmp_path / "runs", "b", device="NVIDIA H200")
    caption = cost_table(compare([tmp_path / "runs"], tmp_path / "r")).caption
    assert "on one device only (here: NVIDIA H200, cpu)" in caption


def test_an_undefined_error_has_no_place(tmp_path: Path) -> None:
    write(tmp_path / "runs", "a")
    (cost,) = training_costs(compare([tmp_path / "runs"], tmp_path / "r"))
    cost.scores["clean"] = Spread({0: math.nan})
    assert points([cost], "fit_seconds", "clean") == {}
