"""Comparisons of multi-label systems: numbers against scikit-learn, tests, page and refusals."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from compare_runs import BIRDS, GRID, write_bird_run, write_facts, write_run
from lightning import LightningDataModule, Trainer
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader

from attacks import PGD, Linf, OutputLoss
from callbacks import RobustnessEvaluation
from lightning_modules import AsymmetricLoss, BirdSetLogMel, MultiLabelModule
from steadyear.compare import Summary, compare
from steadyear.compare.cells import Attack, Cell
from steadyear.compare.command import terminal_text
from steadyear.compare.cost import front
from steadyear.compare.find import find_runs
from steadyear.compare.groups import group
from steadyear.compare.multilabel_scores import FEWEST_DRAWS, MOST_DRAWS, _clip_counts, drawn_cmap
from steadyear.compare.report import MULTILABEL_PICTURES
from steadyear.compare.resampling import score_interval, seed_interval
from steadyear.compare.runs import read_run
from steadyear.compare.summary import summarize

STRONGEST = Cell(Attack("pgd", "spectrogram", "linf"), 0.1)
SYSTEMS = {"ordinary": 1.5, "at_o": 0.5}
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("birds")
    for system, weakness in SYSTEMS.items():
        for seed in SEEDS:
            write_bird_run(root / "runs", system, seed, weakness=weakness)
    return root, compare([root / "runs"], root / "report")


def numbers(root: Path) -> Summary:
    """The comparison without its files."""
    return summarize(group([read_run(folder) for folder in find_runs([root])[0]]))


def rows_of(root: Path, system: str, seed: int) -> pd.DataFrame:
    """The rows of the headline attack, straight from the file, in the order of the clips."""
    file = root / "runs" / "birds" / f"{system}-seed{seed}" / "robustness.parquet"
    frame = pq.read_table(file).to_pandas()
    return frame[(frame["attack"] == "pgd") & (frame["budget"] == 0.1)].sort_values("index")


def matrices(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = ("target", "clean_prediction", "attacked_prediction")
    target, clean, attacked = (np.stack(rows[name]) for name in columns)
    return target, clean, attacked


def cmap(target: np.ndarray, scores: np.ndarray) -> float:
    some = target.any(axis=0)
    return float(average_precision_score(target[:, some], scores[:, some], average="macro"))


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
    noise = summary.systems[0].attacked[Cell(Attack("noise", "spectrogram", "linf"), 0.1)].metrics
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


def test_cmap_is_computed_anew_on_drawn_clips() -> None:
    draw = np.random.default_rng(0)
    target = (draw.random((30, 4)) < 0.2).astype(float)
    target[:, 3] = 0
    target[1:, 2] = 0
    target[0, 2] = 1  # one clip only, which many draws miss
    logits = np.round(draw.normal(size=target.shape) + target, 1)  # with ties
    found = drawn_cmap(logits, target)
    counts = np.concatenate(_clip_counts(30, MOST_DRAWS), axis=1)
    assert found.shape == (MOST_DRAWS,)
    assert (counts.sum(axis=0) == 30).all()
    for place in range(50):
        clips = np.repeat(np.arange(30), counts[:, place])
        assert found[place] == pytest.approx(cmap(target[clips], logits[clips]), abs=1e-12)


def test_large_sets_get_fewer_draws() -> None:
    target = np.zeros((20_000, 60))
    target[0] = 1
    assert len(drawn_cmap(np.zeros(target.shape), target)) == FEWEST_DRAWS


def test_no_label_in_a_draw() -> None:
    target = np.zeros((3, 1))
    target[0] = 1
    found = drawn_cmap(np.array([[1.0], [0.0], [0.0]]), target)
    assert np.isnan(found).mean() == pytest.approx((2 / 3) ** 3, abs=0.02)
    assert np.nanmin(found) == 1
    scores = found[:, None] * [1.0, 2.0, 3.0]
    assert score_interval(scores, scores, paired=True) == (0, 0)


def test_seeds_and_clips_are_drawn_independently_of_each_other() -> None:
    draw = np.random.default_rng(3)
    by_seed, by_clip = draw.normal(size=(1, 7)), draw.normal(size=(10_000, 1))
    over_seeds = seed_interval(by_seed[0], np.zeros(7), paired=True)
    zeros = np.zeros((10_000, 7))
    alone = score_interval(by_seed + zeros, zeros, paired=True)
    width = over_seeds[1] - over_seeds[0]
    assert alone == pytest.approx(over_seeds, abs=0.05 * width)
    both = score_interval(by_seed + by_clip + zeros, zeros, paired=True)
    over_clips = np.diff(np.quantile(by_clip, [0.025, 0.975]))[0]
    assert both[1] - both[0] == pytest.approx(np.hypot(width, over_clips), rel=0.1)


def test_the_page(report: tuple[Path, Summary]) -> None:
    root, _ = report
    folder = root / "report"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert {path.stem for path in folder.glob("*.png")} == set(MULTILABEL_PICTURES)
    assert page.count("data:image/png") == len(MULTILABEL_PICTURES)
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


def test_one_run_and_nothing_optional(tmp_path: Path) -> None:
    write_bird_run(tmp_path / "runs", scores=False, decibels=None, absent=())
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert summary.decibels is None
    assert " dB)" not in page
    assert "DRS<" not in page
    assert "no clip has" not in page
    metrics = summary.systems[0].attacked[STRONGEST].metrics
    assert "prs" not in metrics
    assert 0 < metrics["prs_cmap"].mean < 1


def test_z_units_of_different_size_are_told(tmp_path: Path) -> None:
    for system, decibels in (("convnext", 4.569), ("protopnet", 13.162)):
        write_bird_run(tmp_path / "runs", system, decibels=decibels, grid=[("pgd", 0.1)])
    summary = numbers(tmp_path / "runs")
    (line,) = summary.warnings
    assert "4.569 dB: convnext; 13.16 dB: protopnet" in line
    assert summary.decibels is None


def test_results_of_another_task_go(report: tuple[Path, Summary], tmp_path: Path) -> None:
    out = tmp_path / "report"
    compare([write_run(tmp_path / "runs", grid=[("pgd", 0.1)])], out)
    assert (out / "predictions.csv").is_file()
    compare([report[0] / "runs" / "birds" / "at_o-seed0"], out)
    names = {path.name for path in out.iterdir()}
    assert "classes.png" in names
    assert not names & {"predictions.csv", "predictions.png", "robustness-mae.png"}


def test_predictions_that_are_no_numbers(tmp_path: Path) -> None:
    for system in ("broken", "sound"):
        for seed in SEEDS:
            folder = write_bird_run(tmp_path / "runs", system, seed, grid=[("pgd", 0.1)], clips=20)
            if system == "broken":
                _break(folder / "robustness.parquet")
    summary = numbers(tmp_path / "runs")
    assert any("broken under pgd" in line and "not a number" in line for line in summary.warnings)
    assert summary.comparisons[0].seed.note == "not finite"


def _break(path: Path) -> None:
    table = pq.read_table(path)
    place = table.column_names.index("attacked_prediction")
    broken = [[math.nan] * len(BIRDS)] * table.num_rows
    kind = table.schema.field(place).type
    pq.write_table(table.set_column(place, "attacked_prediction", [pa.array(broken, kind)]), path)


def test_tasks_are_not_mixed(tmp_path: Path) -> None:
    birds, music = write_bird_run(tmp_path, grid=[("pgd", 0.1)]), write_run(tmp_path, targets=BIRDS)
    with pytest.raises(ValueError, match="different tasks, multilabel and regression"):
        compare([birds, music], tmp_path / "report")


def test_an_unknown_task(tmp_path: Path) -> None:
    write_bird_run(tmp_path, about={"task": "captions"})
    with pytest.raises(ValueError, match="task 'captions'; compare knows regression, multilabel"):
        compare([tmp_path], tmp_path / "report")


def test_a_table_without_the_errors_of_clips(tmp_path: Path) -> None:
    path = write_bird_run(tmp_path) / "robustness.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["attacked_error"]), path)
    with pytest.raises(ValueError, match="lacks the columns attacked_error"):
        compare([tmp_path], tmp_path / "report")


class Head(nn.Module):
    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(embedding_dim, 3)

    def forward(self, embedding: Tensor) -> tuple[Tensor, None]:
        return self.layer(embedding), None


class Birds(LightningDataModule):
    clip_ids = tuple(f"{i}.ogg" for i in range(12))
    target_names = BIRDS[:3]

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        items = [
            {
                "spectrogram": torch.randn(1, 2, 3, generator=generator),
                "target": torch.eye(3)[i % 3],
                "index": torch.tensor(i),
            }
            for i in range(12)
        ]
        return DataLoader(items, batch_size=5)


def test_tables_are_read_as_the_evaluation_writes_them(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.Tanh())
    network.embedding_dim = 7
    folder = tmp_path / "runs" / "convnext"
    attack = PGD(Linf(), OutputLoss(AsymmetricLoss(reduction="clip")), steps=2)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=False,
        default_root_dir=folder,
        callbacks=[RobustnessEvaluation({"pgd": attack}, [0.1])],
    )
    trainer.test(MultiLabelModule(network, Head, frontend=BirdSetLogMel()), Birds(), verbose=False)
    write_facts(folder, "birds", "convnext", 0)
    summary = numbers(tmp_path / "runs")
    (system,), logged = summary.systems, trainer.callback_metrics
    assert summary.decibels == pytest.approx(4.569)
    for name in ("cmap", "auroc", "top1", "micro_ap"):
        assert system.clean.metrics[name].mean == pytest.approx(logged[f"test/clean/{name}"].item())
    for name in ("cmap", "prs", "prs_cmap", "success"):
        mine = system.attacked[summary.headline].metrics[
            {"success": "success_rate"}.get(name, name)
        ]
        assert mine.mean == pytest.approx(logged[f"test/pgd@0.1/{name}"].item(), rel=1e-5)
