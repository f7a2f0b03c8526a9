"""The verdicts of the sanity checks: file, log and W&B."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from steadyear.attacks.sanity import Sanity, SanityReport
from steadyear.attacks.sanity.protocol.evidence import Record, record
from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.records.robustness_table import stacked
from steadyear.callbacks.records.worst_cases import WorstCase
from steadyear.foundation.atomic_files import write_text

Scores = dict[str, dict[str, float]]


def file_name(stage: str) -> str:
    """Name of the file in the run's folder; that of the test is plain ``sanity.json``."""
    return "sanity.json" if stage == "test" else f"sanity-{stage}.json"


def warn_if_interrupted(sanity: Sanity) -> None:
    """Warn of a broken graph before the first gradient attack fails because of it."""
    for one in sanity.records:
        if one["check"] == "graph" and min(one.get("values", {}).get("reached", [1.0])) < 1:
            rank_zero_warn(
                f"The gradient of the objective of '{one['attack']}' does not reach the attacked "
                "tensor: look for detach, no_grad or numpy in the model and its front end."
            )


def report_checks(
    sanity: Sanity,
    trainer: Trainer,
    frame: pd.DataFrame,
    module: LightningModule,
    scores: Scores,
    cases: Sequence[WorstCase],
    stage: str,
) -> SanityReport:
    """Gather what all processes measured; write, log and return the verdicts."""
    records = from_all_processes(sanity.records)
    report = sanity.report([*records, *worst_case(frame, module, scores, cases)])
    if trainer.is_global_zero:
        write_report(report, stage, Path(trainer.default_root_dir))
        _to_wandb(report, trainer, stage)
        rank_zero_info(f"\n{report}")
    return report


def write_report(report: SanityReport, stage: str, folder: Path) -> None:
    """Write the verdicts of a stage; the file is there whole or not at all."""
    plain = {"stage": stage} | report.as_json()
    write_text(folder / file_name(stage), json.dumps(plain, indent=2, allow_nan=False) + "\n")


def worst_case(
    frame: pd.DataFrame, module: object, scores: Scores, cases: Sequence[WorstCase]
) -> list[Record]:
    """Check 19: compute the scores of each clip's worst attack again, and compare with the report."""
    records = []
    for case in cases:
        if len(case.attacks) < 2:
            continue
        # Stable, so that the first of equally bad attacks counts, as in the report.
        order = case.rows(frame).sort_values("attacked_error", ascending=False, kind="stable")
        worst = order.drop_duplicates("index")
        gap = _gap(scores.get(case.key, {}), _scores(worst, module))
        index, values = torch.zeros(1, dtype=torch.int64), {"gap": torch.tensor([gap])}
        records.append(record("worst_case", case.name, case.budget, index, values))
    return records


def _scores(worst: pd.DataFrame, module: object) -> dict[str, float]:
    score = getattr(module, "scores", None)
    if not callable(score):
        return {"error": float(worst["attacked_error"].mean())}
    found = score(stacked(worst, "attacked_prediction"), stacked(worst, "target"))
    return {name: float(value) for name, value in found.items() if "/" not in name}


def _gap(reported: dict[str, float], again: dict[str, float]) -> float:
    gaps = [0.0]
    for name, value in again.items():
        if name not in reported:
            return math.inf
        if not (math.isnan(value) and math.isnan(reported[name])):
            gaps.append(abs(reported[name] - value) / max(abs(value), 1.0))
    return math.inf if any(math.isnan(gap) for gap in gaps) else max(gaps)


def _to_wandb(report: SanityReport, trainer: Trainer, stage: str) -> None:
    columns = ["number", "name", "status", "value", "where", "says"]
    table = pd.DataFrame([verdict.as_json() for verdict in report.verdicts], columns=columns)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb  # there, because its logger is

            # The Lightning logger counts steps itself; without its key the table opens a new axis.
            step = {"trainer/global_step": trainer.global_step}
            logger.experiment.log({f"{stage}/sanity": wandb.Table(dataframe=table)} | step)
            counts = report.as_json()["counts"]
            summary = {f"{stage}/sanity/{name.lower()}": n for name, n in counts.items()}
            logger.experiment.summary.update(summary | {f"{stage}/sanity/label": report.label})
