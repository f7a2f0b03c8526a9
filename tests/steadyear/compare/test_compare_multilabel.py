"""Comparisons of multi-label systems: numbers against scikit-learn, tests, page and terminal."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from steadyear.compare import Summary, compare
from steadyear.compare.command import terminal_text
from steadyear.compare.load.cells import AttackKey, Cell
from steadyear.compare.tables.cost import front
from tests.steadyear.bird_comparisons import STRONGEST, cmap, numbers
from tests.steadyear.compare_runs import BIRDS, GRID, write_bird_run

PICTURES = {
    *("robustness-cmap", "robustness-auroc", "cmap-drop"),
    *("classes", "clip-errors", "cost"),
}

SYSTEMS = {"ordinary": 1.5, "at_o": 0.5}
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("birds")
    for system, weakness in SYSTEMS.items():
        for seed in SEEDS:
            write_bird_run(root / "runs", system, seed, weakness=weakness)
    return root, compare([root / "runs"], root / "report")


def rows_of(root: Path, system: str, seed: int) -> pd.DataFrame:
    """The rows of the headline attack, straight from the file, in the order of the clips."""
    file = root / "runs" / "birds" / f"{system}-seed{seed}" / "robustness.parquet"
    frame = pq.read_table(file).to_pandas()
    return frame[(frame["attack"] == "pgd") & (frame["budget"] == 0.1)].sort_values("index")


def matrices(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = ("target", "clean_prediction", "attacked_prediction")
    target, clean, attacked = (np.stack(rows[name]) for name in columns)
    return target, clean, attacked


def test_scores_are_those_of_scikit_learn(report: tuple[Path, Summary]) -> None:
    root, summary = report
    for system in summary.systems:
        for seed in SEEDS:
            target, clean, attacked = matrices(rows_of(root, system.label, seed))
            for scores, logits in ((system.clean, clean), (system.attacked[STRONGEST], attacked)):
                found = {name: each.values[seed] for name, each in scores.metrics.items()}
                some, named = target.any(axis=0), target.any(axis=1)
                areas = roc_auc_score(target[:, some], logits[:, some], average="macro")
                hits = np.take_along_axis(target, logits.argmax(axis=1)[:, None], axis=1)[named]
                assert found["cmap"] == pytest.approx(cmap(target, logits))
                assert found["auroc"] == pytest.approx(areas)
                assert found["top1"] == pytest.approx(hits.mean())
                assert found["micro_ap"] == pytest.approx(
                    average_precision_score(target.ravel(), logits.ravel())
                )
                for place in np.flatnonzero(some):
                    ap = average_precision_score(target[:, place], logits[:, place])
                    assert scores.of_targets[BIRDS[place]].values[seed] == pytest.approx(ap)
                assert BIRDS[-1] not in scores.of_targets


def test_what_attacks_take_away(report: tuple[Path, Summary]) -> None:
    root, summary = report
    for system in summary.systems:
        rows = rows_of(root, system.label, 1)
        target, clean, attacked = matrices(rows)
        found = {name: each.values[1] for name, each in system.attacked[STRONGEST].metrics.items()}
        before, after = cmap(target, clean), cmap(target, attacked)
        assert found["cmap_drop"] == pytest.approx(before - after)
        assert found["prs_cmap"] == pytest.approx(min(1, math.exp(1 - before / after)))
        assert found["clip_error"] == pytest.approx(rows["attacked_error"].mean())
        for name in ("prs", "drs", "tars"):
            assert found[name] == pytest.approx(rows[name].mean())
    noise = (
        summary.systems[0].attacked[Cell(AttackKey("noise", "spectrogram", "linf"), 0.1)].metrics
    )
    assert "prs" in noise
    assert "drs" not in noise
    assert "mae" not in noise


def test_the_headline_takes_most_cmap(report: tuple[Path, Summary]) -> None:
    _, summary = report
    assert summary.headline == STRONGEST
    drops = {
        label: each.attacked[STRONGEST].metrics["cmap_drop"].mean for label, each in _by(summary)
    }
    assert drops["ordinary"] > drops["at_o"] > 0
    (sentence,) = summary.readings
    assert (
        f"at_o loses {drops['at_o']:.3f} cmAP and ordinary loses {drops['ordinary']:.3f}"
        in sentence
    )
    assert not summary.warnings


def _by(summary: Summary):
    return [(each.label, each) for each in summary.systems]


def test_tests_over_seeds_compare_cmap(report: tuple[Path, Summary]) -> None:
    _, summary = report
    attacked, drop = summary.comparisons
    assert (attacked.measure, drop.measure) == ("attacked cmAP", "cmAP drop")
    for comparison, key in ((attacked, "cmap"), (drop, "cmap_drop")):
        sides = [
            [each.attacked[STRONGEST].metrics[key].values[seed] for seed in SEEDS]
            for each in summary.systems
        ]
        wanted = stats.ttest_rel(*sides)
        assert comparison.label == "at_o - ordinary"
        assert comparison.seed.paired
        assert comparison.seed.difference == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]))
        assert comparison.seed.statistic == pytest.approx(wanted.statistic)
        assert comparison.seed.p == pytest.approx(wanted.pvalue)
        assert comparison.seed.over_both is not None
        low, high = comparison.seed.over_both
        assert low < comparison.seed.difference < high


def test_pooled_tests_compare_the_errors_of_clips(report: tuple[Path, Summary]) -> None:
    root, summary = report
    for comparison, lost in zip(summary.comparisons, (False, True), strict=True):
        sides = []
        for system in ("at_o", "ordinary"):
            tables = [rows_of(root, system, seed) for seed in SEEDS]
            errors = [t["attacked_error"] - (t["clean_error"] if lost else 0) for t in tables]
            sides.append(np.concatenate(errors))
        assert comparison.pooled.pairs == 3 * 40
        assert comparison.pooled.p == pytest.approx(stats.ttest_rel(*sides).pvalue)
        assert comparison.pooled.wilcoxon_p == pytest.approx(stats.wilcoxon(*sides).pvalue)


def test_systems_of_other_seeds_are_compared_by_welch(tmp_path: Path) -> None:
    for system, seeds in {"one": (0, 1, 2, 3), "two": (4, 5, 6)}.items():
        for seed in seeds:
            write_bird_run(tmp_path / "runs", system, seed, grid=[("pgd", 0.1)])
    summary = numbers(tmp_path / "runs")
    test = summary.comparisons[0].seed
    sides = [
        list(each.attacked[STRONGEST].metrics["cmap"].values.values()) for each in summary.systems
    ]
    assert not test.paired
    assert test.p == pytest.approx(stats.ttest_ind(*sides, equal_var=False).pvalue)
    assert test.over_both is not None
    assert summary.comparisons[0].pooled.note == "no common seed"


def test_the_page(report: tuple[Path, Summary]) -> None:
    root, _ = report
    folder = root / "report"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert {path.stem for path in folder.glob("*.png")} == PICTURES
    assert page.count("data:image/png") == len(PICTURES)
    wanted = ["8 classes", "Every score", "Robustness scores", "Tests over pooled clips", "top-1"]
    wanted += ["One z-unit is 4.5 dB", "0.1 z-units (0.45 dB)", "no clip has their label: dodo."]
    for words in (*wanted, "Classes and clips", "DRS", *BIRDS):
        assert words in page, words
    page = re.sub(r"base64,[^\"]*", "", page)
    for words in ("Hoedt", "Pearson", "MAE", "absolute", "Concepts", "published study", "{}"):
        assert words not in page, words


def test_files_agree_with_each_other(report: tuple[Path, Summary]) -> None:
    root, summary = report
    folder = root / "report"
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (found["task"], found["z_unit_db"]) == ("multilabel", 4.5)
    assert "study" not in found
    scores = pd.read_csv(folder / "scores.csv")
    assert len(scores) == 2 * 3 * (1 + len(GRID))
    for system in found["systems"]:
        (attacked,) = (
            each for each in system["attacked"] if (each["attack"], each["budget"]) == ("pgd", 0.1)
        )
        assert set(attacked["target_ap"]) == set(BIRDS[:-1])
        mine = scores[(scores["system"] == system["label"]) & (scores["attack"] == "pgd")]
        mine = mine[mine["budget"] == 0.1].set_index("seed")
        values = {int(seed): v for seed, v in attacked["metrics"]["cmap_drop"]["values"].items()}
        assert mine["cmap_drop"].to_dict() == pytest.approx(values)
    clips = pd.read_csv(folder / "clip-errors.csv", dtype={"clip": str})
    assert len(clips) == 2 * 3 * 40
    one = clips[(clips["system"] == "at_o") & (clips["seed"] == 2)].set_index("clip")["delta"]
    rows = rows_of(root, "at_o", 2).set_index("clip")
    assert one.to_dict() == pytest.approx((rows["attacked_error"] - rows["clean_error"]).to_dict())
    assert {f"cmap_{each}" for each in ("clean", "attacked")} < {*pd.read_csv(folder / "cost.csv")}
    assert len(summary.systems) == 2


def test_the_terminal(report: tuple[Path, Summary]) -> None:
    text = terminal_text(report[1])
    assert max(map(len, text.splitlines())) <= 100
    for words in ("clean cmAP", "cmAP drop", "Tests over seeds of attacked cmAP", "0.45 dB"):
        assert words in text, words
    assert "MAE" not in text


def test_more_is_better_on_the_front() -> None:
    places = {"cheap": (1.0, 0.3), "dear": (2.0, 0.5), "waste": (3.0, 0.4)}
    assert front(places, higher_is_better=True) == ["cheap", "dear"]
    assert front(places) == ["cheap"]
