"""What comparisons of multi-label systems read, warn about and refuse."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from steadyear.attacks import PGD, Linf, OutputLoss
from steadyear.callbacks import RobustnessEvaluation
from steadyear.compare import compare
from steadyear.lightning_modules import AsymmetricLoss, BirdSetLogMel, MultiLabelModule
from tests.callbacks import foreign_modules as foreign
from tests.steadyear.bird_comparisons import STRONGEST, numbers
from tests.steadyear.compare_runs import BIRDS, write_bird_run, write_facts, write_run

SEEDS = (0, 1, 2)


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


def test_results_of_another_task_go(tmp_path: Path) -> None:
    out = tmp_path / "report"
    compare([write_run(tmp_path / "runs", grid=[("pgd", 0.1)])], out)
    assert (out / "predictions.csv").is_file()
    compare([write_bird_run(tmp_path / "birds", grid=[("pgd", 0.1)])], out)
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
    trainer = foreign.trainer(folder, RobustnessEvaluation({"pgd": attack}, [0.1]))
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
