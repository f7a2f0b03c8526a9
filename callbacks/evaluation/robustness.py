"""Robustness evaluation for any LightningModule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from steadyear.attacks import Attack, MinimalNorm, score_robustness
from steadyear.attacks.sanity import Level, Sanity
from steadyear.callbacks.attribution.contributions import Parts, checked, find_parts
from steadyear.callbacks.batches import BatchKeys, clip_index
from steadyear.callbacks.evaluation.media import Media, log_to_wandb
from steadyear.callbacks.evaluation.read_elsewhere import with_module_outputs
from steadyear.callbacks.evaluation.sounds import as_sound
from steadyear.callbacks.evaluation.tolerance import (
    Tolerance,
    check_tolerance,
    in_label_units,
    within_tolerance,
)
from steadyear.callbacks.evaluation.universal import fit_universal
from steadyear.callbacks.only_one import check_only_one
from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.records.clip_figures import ClipFigures
from steadyear.callbacks.records.robustness_table import (
    Cell,
    Names,
    RobustnessTable,
    stacked,
    write_table,
)
from steadyear.callbacks.records.worst_cases import WorstCase, worst_cases
from steadyear.callbacks.sanity.relatives import with_weights
from steadyear.callbacks.sanity.report import conclude, warn_if_interrupted

_AVERAGED = ("success", "achieved_linf", "achieved_l2", "snr_db", "prs", "drs", "tars")


class RobustnessEvaluation(Callback):
    """Attacks every clip at ``validate`` and ``test`` with named attacks at several budgets.

    Writes one row per clip, attack and budget to ``robustness.parquet`` (``robustness-val.parquet``
    for validation) in the run's folder, logs the module's scores, the share of successes and the
    achieved norms as ``<stage>/<attack>@<budget>/<figure>``, and prints them; ``worst`` takes for
    every clip the attack that hurt it most, of attacks that choose from the same perturbations, see
    ``steadyear.callbacks.records.worst_cases``. Scores are computed from all clips of all processes, each clip once, in
    fp32, outside autocast.

    A module that has ``scores(prediction, target) -> dict[str, float]`` is scored by it; of any
    other module the mean error per clip is reported: mean absolute error, or the share of wrong
    classes. A module with ``clip_losses(prediction, target)`` gets robustness scores per clip, see
    ``steadyear.callbacks.records.clip_figures``. Of a module that can split its predictions, see
    ``steadyear.callbacks.attribution.contributions``, the table says what each part adds to their change. An attack that
    reads a submodule is judged by the predictions that it causes. Universal perturbations are found
    on training clips first, see ``steadyear.callbacks.evaluation.universal``.

    Args:
        attacks: Attacks by the name they have in tables.
        budgets: Budgets that every attack is run at, in the unit of its domain.
        keys: Where batches hold input and target; ``None`` finds the usual places.
        every_n_epochs: Evaluate at the validations of every n-th epoch of ``fit``, too; ``None``
            does not.
        media_clips: Number of clips whose clean and attacked input is shown in W&B.
        sanity: Which of the checks of ``steadyear.attacks.sanity`` are made: ``free`` costs small experiments
            on the first clips, ``full`` attacks of its own on 64 clips. Verdicts are printed, stand
            in ``sanity.json`` and in W&B.
        tolerance: For ratings: attacks on the error succeed when a clip's mean absolute error grows
            by more than this, a number or ``labels``, the standard deviation of the training labels;
            their success rate is then the share of clips that are not robust. ``None`` leaves every
            attack the tolerance of its objective.
        siblings: For ``full``: checkpoints of other trainings of the module, whose adversaries are
            tried on it. ``steadyear test`` finds those of the experiment's other seeds by itself.
        twin: For ``full``: checkpoint of the same network without defence, which the attacks must
            break. For a run with adversarial training ``steadyear test`` looks for one.

    Raises:
        ValueError: If there is no attack or no budget, a budget is negative or repeated, or the level
            of the sanity checks is unknown.
    """

    def __init__(
        self,
        attacks: dict[str, Attack],
        budgets: Sequence[float],
        keys: BatchKeys | None = None,
        every_n_epochs: int | None = None,
        media_clips: int = 4,
        sanity: Level = "free",
        tolerance: Tolerance | None = None,
        siblings: Sequence[str] = (),
        twin: str | None = None,
    ) -> None:
        distinct = len(set(budgets)) == len(budgets)
        # A negative budget would only be noticed by the test, when training is over.
        if not (attacks and budgets and distinct and min(budgets) >= 0):
            raise ValueError(
                "RobustnessEvaluation needs at least one attack and distinct budgets >= 0, not "
                f"{sorted(attacks)} at {list(budgets)}."
            )
        check_tolerance(tolerance)
        self.attacks = attacks
        self.tolerance: Tolerance | None = tolerance
        self.budgets = sorted(budgets)
        self.keys = keys or BatchKeys()
        self.every_n_epochs = every_n_epochs
        self.media_clips = media_clips
        self.sanity: Level = sanity
        self.siblings = siblings
        self.twin = twin
        self._sanity = Sanity(attacks, budgets, sanity)
        self._table: RobustnessTable | None = None
        self._parts: Parts | None = None
        self._clips_seen = 0
        self._media = Media(media_clips)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look for a second evaluation and the submodules that attacks name; later would be late."""
        check_only_one(trainer, RobustnessEvaluation, "attacks")
        known = {name for name, _ in pl_module.named_modules()}
        for name, attack in self.attacks.items():
            for does, place in (
                ("perturbs", attack.view.perturb_at),
                ("reads", attack.view.read_at),
            ):
                if place is not None and place not in known:
                    top = ", ".join(sorted(n for n in known if n and "." not in n))
                    raise MisconfigurationException(
                        f"The attack {name} {does} the submodule '{place}', which "
                        f"{type(pl_module).__name__} does not have. At its top level: {top}."
                    )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, if this validation is to be evaluated."""
        self._table = None  # an interrupted evaluation may have left one
        if trainer.sanity_checking:
            return
        inside_fit = trainer.state.fn == "fit"
        n = self.every_n_epochs
        if not inside_fit or (n is not None and trainer.current_epoch % n == 0):
            self._begin(trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        if torch.is_inference_mode_enabled():
            raise MisconfigurationException(
                "RobustnessEvaluation needs gradients, which inference mode forbids: set "
                "trainer.inference_mode to false."
            )
        if self.tolerance is not None:
            number = in_label_units(self.tolerance, trainer)
            self.attacks = {n: within_tolerance(a, number) for n, a in self.attacks.items()}
        self._parts = find_parts(trainer, module, self.keys)
        fit_universal(trainer, module, self.attacks, self.budgets, self.keys)
        self._table = RobustnessTable(figures=ClipFigures.of(module))
        self._clips_seen = 0
        self._media = Media(self.media_clips)
        self._sanity = self._checks(module)

    def _checks(self, module: LightningModule) -> Sanity:
        if self.sanity != "full":
            return Sanity(self.attacks, self.budgets, self.sanity)
        loaded = {path: with_weights(module, path) for path in self.siblings}
        others = {path: other for path, other in loaded.items() if other is not None}
        twin = None if self.twin is None else with_weights(module, self.twin)
        return Sanity(self.attacks, self.budgets, self.sanity, others=others, twin=twin)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Attack a validation batch."""
        if not trainer.sanity_checking:
            self._attack(trainer, pl_module, batch, dataloader_idx)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Attack a test batch."""
        self._attack(trainer, pl_module, batch, dataloader_idx)

    def _attack(
        self,
        trainer: Trainer,
        module: LightningModule,
        batch: Any,
        dataloader_idx: int,
    ) -> None:
        if self._table is None:
            return
        if dataloader_idx > 0:
            raise MisconfigurationException(
                "RobustnessEvaluation evaluates one dataloader; give one per run."
            )
        x, target = self.keys.read(batch)
        index = clip_index(batch)
        if index is None:
            index = _position(trainer, self._clips_seen, len(x))
        self._clips_seen += len(x)
        concepts = batch.get("concepts") if isinstance(batch, Mapping) else None
        self._sanity.begin(module, x, target, index)
        if self._clips_seen == len(x):
            warn_if_interrupted(self._sanity)
        domain = self.keys.domain_of(batch)
        for cell in self._cells(domain):
            attack, path = self._sanity.watch(cell.attack)
            result = attack(module, x, target, index=index)
            self._sanity.observe(cell.name, cell.attack, path, result, module, x, target, index)
            result = with_module_outputs(module, x, result, cell.attack.view)
            parts = None if self._parts is None else self._parts.contributions(module, result)
            sound = as_sound(result, cell.attack.view, x, domain)
            self._table.add(cell, result, target, index, concepts, parts, sound)
            if sound is None:
                self._media.add(cell, result, index)
            else:
                self._media.add(replace(cell, domain="waveform"), sound, index)

    def _cells(self, domain: str) -> list[Cell]:
        return [
            Cell(name, attack.at(budget), budget, attack.view.place or domain)
            for name, attack in self.attacks.items()
            # An unbounded attack has one column, whatever the budgets of the others.
            for budget in ([math.inf] if math.isinf(attack.ball.eps) else self.budgets)
        ]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score, log and write."""
        self._finish(trainer, pl_module, "val", "robustness-val.parquet")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score, log and write."""
        self._finish(trainer, pl_module, "test", "robustness.parquet")

    def _finish(self, trainer: Trainer, module: LightningModule, stage: str, file: str) -> None:
        table, self._table = self._table, None
        if table is None:
            return
        table.rows = from_all_processes(table.rows)
        names = Names.of(getattr(trainer, "datamodule", None), module)
        if self._parts is not None:
            names.parts, names.part_r2 = self._parts.names, self._parts.r2
        frame = checked(table.frame(names))
        names.minimal_norm = [n for n, a in self.attacks.items() if isinstance(a, MinimalNorm)]
        cases = worst_cases(frame, self.attacks)
        figures = aggregate(frame, module, cases, names.minimal_norm)
        names.task = "multilabel" if "cmap" in figures["clean"] else ""
        module.log_dict(
            {f"{stage}/{c}/{name}": v for c, fs in figures.items() for name, v in fs.items()}
        )
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / file
            write_table(frame, names, stage, path)
            log_to_wandb(trainer, module, frame, names, self._media, stage)
            clips = frame["index"].nunique()
            rank_zero_info(
                f"\n{_text(figures, names.decibels(frame, cases))}\n{clips} clips; one row per clip, attack and budget in {path}"
            )
        conclude(self._sanity, trainer, frame, module, figures, cases, stage)


def aggregate(
    frame: pd.DataFrame,
    module: object,
    cases: Sequence[WorstCase] = (),
    minimal_norm: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Figures of the clean clips, of every attack and budget, and of the worst attack per clip.

    Args:
        frame: What ``RobustnessTable.frame`` gave.
        module: Scored by its own ``scores`` if it has them, else by the mean error per clip.
        cases: Which attacks have a worst case together.
        minimal_norm: Attacks that minimise the norm.

    Returns:
        Figures by ``clean``, ``<attack>@<budget>`` and the worst case's ``cell``: the scores; of attacks
        also the share of successes and the mean achieved norms, for waveforms ``snr_db``, the mean
        ``prs``, ``drs`` and ``tars`` where the module offers a loss of each clip, ``prs_cmap`` where
        it is scored by ``cmap``, and of attacks that minimise the norm ``median_norm``, the median
        over the clips with success.
    """
    groups = [
        (str(a), float(str(b)), g) for (a, b), g in frame.groupby(["attack", "budget"], sort=False)
    ]
    figures = {"clean": _scores(groups[0][2], module, "clean")}
    for attack, budget, group in groups:
        measured = {
            column: float(group[column].mean())
            for column in _AVERAGED
            if column in group and group[column].notna().all()
        }
        if attack in minimal_norm and group["success"].any():
            reached = group.loc[group["success"], "achieved_size"]
            measured["median_norm"] = float(reached.median())
        scores = _attacked_scores(group, module, figures["clean"])
        figures[f"{attack}@{budget:g}"] = scores | measured
    for case in cases:
        rows = case.rows(frame)
        worst = rows.loc[rows.groupby("index")["attacked_error"].idxmax()]
        figures[case.cell] = _attacked_scores(worst, module, figures["clean"])
    return figures


def _attacked_scores(
    group: pd.DataFrame, module: object, clean: dict[str, float]
) -> dict[str, float]:
    scores = _scores(group, module, "attacked")
    if "cmap" in scores:
        scores["prs_cmap"] = score_robustness(clean["cmap"], scores["cmap"])
    return scores


def _scores(group: pd.DataFrame, module: object, state: str) -> dict[str, float]:
    score = getattr(module, "scores", None)
    if not callable(score):
        return {"error": float(group[f"{state}_error"].mean())}
    scores = score(stacked(group, f"{state}_prediction"), stacked(group, "target"))
    # Scores of single outputs stand in the table; here they would drown the rest.
    return {name: value for name, value in scores.items() if "/" not in name}


def _text(figures: dict[str, dict[str, float]], decibels: Mapping[str, float]) -> str:
    table = pd.DataFrame.from_dict(figures, orient="index")
    if decibels:
        # As text, because the smallest budgets of bird studies are hundredths of a dB.
        budgets = [f"{decibels[cell]:.2g}" if cell in decibels else "" for cell in table.index]
        table.insert(0, "budget in dB", budgets)
    return table.to_string(float_format=lambda value: f"{value:.3f}", na_rep="")


def _position(trainer: Trainer, first: int, size: int) -> Tensor:
    """Number of each clip in a foreign data set, whatever the number of processes."""
    loaders = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
    loader = loaders[0] if isinstance(loaders, list | tuple) else loaders
    position = (first + torch.arange(size)) * trainer.world_size + trainer.global_rank
    dataset = getattr(loader, "dataset", None)
    # Distributed samplers fill the last batch with the first clips again.
    return position % len(dataset) if isinstance(dataset, Sized) else position
