"""The benchmarks of attacks: a smoke run of each, and that they judge as they say."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("sklearn")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """A benchmark or one of its helpers, by name, as if started from its folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.chdir(tmp_path)
    return importlib.import_module


@pytest.fixture
def few(bench, monkeypatch) -> dict[str, str]:
    """The libraries that the tests know anyway; the others are slow to import."""
    found = bench("attack_peers").installed()
    found = {name: found[name] for name in ("foolbox", "torchattacks") if name in found}
    monkeypatch.setattr(bench("attack_peers"), "installed", lambda: found)
    return found


def test_strength_runs_all_its_parts(bench, few) -> None:
    bench("attack_strength").main(["--quick", "--threads", "1"])
    record = json.loads(Path("attack_strength.json").read_text())
    titles = " ".join(record["tables"])
    for part in ("robust accuracy", "MAE added", "cmAP points lost", "minimal norm"):
        assert part in titles
    rows = [row for table in record["tables"].values() for row in table]
    assert {row["ball"] for row in rows if "ball" in row} == {"inside"}
    counted = {row["attack"]: row for table in record["tables"].values() for row in table}
    assert counted["ours PGD"]["gradients"] == 4
    if few:
        assert record["aims"]
        assert counted["foolbox subclass PGD, BCE"]["gradients"] == 4


def test_speed_runs(bench, few) -> None:
    bench("attack_speed").main(["--quick", "--threads", "1", "--parts", "pgd,curve"])
    record = json.loads(Path("attack_speed.json").read_text())
    rows = {row["attack"]: row for row in record["tables"]["PGD-2, 1 clips of 32 x 149, 1 rounds"]}
    assert {"ours fp32", "ours bf16", "floor fp32", "floor bf16"} <= set(rows)
    for name in few:
        assert rows[name]["attacked loss"] == pytest.approx(
            rows["ours fp32"]["attacked loss"], 1e-4
        )
    curve = [
        row for title, table in record["tables"].items() if "budgets" in title for row in table
    ]
    assert all(row["0.001"] >= row["0.2"] for row in curve)


def test_what_is_not_installed_is_left_out(bench, monkeypatch, capsys) -> None:
    peers = bench("attack_peers")
    monkeypatch.setattr(peers, "PACKAGES", {"nobody": "a-library-that-does-not-exist"})
    assert peers.installed() == {}
    peers.report_missing({})
    assert "nobody is not installed" in capsys.readouterr().out
    classes, damage = bench("strength_classes"), bench("strength_damage")
    rows = classes.class_attacks({}, bench("strength_runs").QUICK)
    assert {library for library, *_ in rows} == {"ours"}
    assert damage.free_peers({}) == damage.fixed_peers({}, regression=True) == {}


def test_gradients_and_forward_passes_are_counted_apart(bench) -> None:
    strength, tasks, peers = map(bench, ("strength_runs", "attack_tasks", "attack_peers"))
    net, x = nn.Flatten(), torch.zeros(3, 1, 2, 2)
    task = tasks.Task("", net, x, torch.zeros(3, dtype=torch.int64))

    def attacker(net, x, y, within):
        for _ in range(2):
            net(x.clone().requires_grad_())
        with torch.no_grad():
            net(x.clone().requires_grad_())
        return x + 1

    found = strength.run(attacker, task, peers.budget("linf", 0.5, 2, x))
    assert found.costs["gradients"] == 2
    assert found.costs["forwards"] == 1


def test_an_error_is_shown_and_a_perturbation_that_is_too_large_too(bench) -> None:
    strength, tasks, peers = map(bench, ("strength_runs", "attack_tasks", "attack_peers"))
    x = torch.full((2, 1, 2, 2), 0.5)
    task = tasks.Task("", nn.Flatten(), x, torch.zeros(2, dtype=torch.int64))
    within = peers.budget("linf", 0.1, 2, x)

    def broken(*_):
        raise ValueError("labels\nmust be 1D")

    assert strength.run(broken, task, within).clips == "ValueError: labels must be 1D"
    assert strength.check(x + 0.1, task, within) == "inside"
    assert strength.check(x + torch.tensor([0.2, 0.0]).reshape(2, 1, 1, 1), task, within) == (
        "1 outside"
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_common_start_is_allowed(bench, norm) -> None:
    x = torch.rand(4, 1, 5, 5)
    within = bench("attack_peers").budget(norm, 0.3, 5, x, seed=1)
    size = torch.linalg.vector_norm(within.start.flatten(1), {"linf": math.inf, "l2": 2}[norm], 1)
    assert (size <= 0.3 + 1e-6).all()
    assert size.mean() > 0.2
    assert ((x + within.start >= 0) & (x + within.start <= 1)).all()


def test_aims_are_judged_on_the_right_side(bench, capsys) -> None:
    report = bench("attack_report").Report(1)
    report.at_most("a", 1.0, 1.0)
    report.at_most("b", 1.1, 1.0)
    report.at_least("c", 1.1, 1.0)
    report.at_least("d", math.nan, 1.0)
    assert [aim["verdict"] for aim in report.aims] == ["PASS", "MISS", "PASS", "MISS"]
    report.table("t", [{"x": 1.0}, {"y": "z"}])
    report.write("r.json")
    assert "2 of 4 aims reached" in capsys.readouterr().out


def test_minimal_sizes_count_only_wrong_classes(bench) -> None:
    strength = bench("strength_minimal")
    net = nn.Flatten()
    x = torch.tensor([[0.9, 0.1], [0.9, 0.1]]).reshape(2, 1, 1, 2)
    moved = torch.tensor([[0.2, 0.8], [0.8, 0.1]]).reshape(2, 1, 1, 2)
    size = strength.sizes(net, x, torch.tensor([0, 0]), moved, "linf")
    torch.testing.assert_close(size, torch.tensor([0.7, math.inf]))


def test_smallest_budget_is_the_first_with_a_flip(bench) -> None:
    speed = bench("speed_curve")
    flips = torch.zeros(len(speed.BUDGETS), 3, dtype=torch.bool)
    flips[2:, 0] = True
    flips[0, 1] = True
    found = speed.smallest(flips)
    expected = torch.tensor([speed.BUDGETS[2], speed.BUDGETS[0], math.inf])
    torch.testing.assert_close(found, expected)
