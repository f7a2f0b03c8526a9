"""`steadyear compare` says which robust scores are upper bounds only."""

from __future__ import annotations

import json

import pytest

from steadyear.compare.command import compare, terminal_text
from tests.steadyear import compare_runs


def sanity(folder, name="sanity.json", **statuses):
    checks = [
        {"number": 7, "name": key, "status": status, "value": 0.5, "where": "", "says": "x"}
        for key, status in statuses.items()
    ]
    (folder / name).write_text(json.dumps({"level": "free", "checks": checks}))


@pytest.fixture
def runs(tmp_path):
    root = tmp_path / "runs"
    return {
        (system, seed): compare_runs.write_run(root, system, seed)
        for system in ("a2e", "a2m2e")
        for seed in (0, 1)
    }


def page(tmp_path, runs):
    summary = compare(list(runs.values()), tmp_path / "report")
    return summary, (tmp_path / "report" / "index.html").read_text()


def test_a_failed_check_labels_the_system(tmp_path, runs):
    for (system, seed), folder in runs.items():
        bad = (system, seed) == ("a2e", 1)
        sanity(folder, zero_gradients="FAIL" if bad else "PASS", graph="WARN")
    sanity(runs["a2e", 0], "sanity-fit.json", catastrophic_overfitting="FAIL")
    summary, html = page(tmp_path, runs)
    (line,) = [one for one in summary.warnings if "upper bound only" in one]
    assert line.startswith("a2e: ")
    assert "7 zero_gradients (seed 1)" in line
    assert "7 catastrophic_overfitting (seed 0)" in line
    assert "upper bound only" in terminal_text(summary)
    overview = html[html.index("<h2>Overview") : html.index("<h2>Overview") + 3000]
    assert "<td>upper bound only</td>" in overview
    assert "<td>warnings</td>" in overview
    assert "Can the robust scores be trusted?" in html
    assert html.count("<td>no objection</td>") == 2


def test_runs_without_checks_are_shown_as_before(tmp_path, runs):
    summary, html = page(tmp_path, runs)
    assert not any("sanity" in line for line in summary.warnings)
    assert "sanity" not in html


def test_a_system_with_an_unchecked_run_has_not_passed(tmp_path, runs):
    sanity(runs["a2e", 0], graph="PASS")
    for seed in (0, 1):
        sanity(runs["a2m2e", seed], graph="PASS")
    _, html = page(tmp_path, runs)
    assert html.count("<td>passed</td>") == 1


@pytest.mark.parametrize("content", ["{", '{"level": "free"}', "[]"])
def test_damaged_files_are_named(tmp_path, runs, content):
    (runs["a2e", 0] / "sanity.json").write_text(content)
    with pytest.raises(ValueError, match=r"sanity\.json cannot be read"):
        page(tmp_path, runs)
