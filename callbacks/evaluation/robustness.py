"""Robustness evaluation for any LightningModule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from steadyear.attacks import Attack, MinimalNorm
from steadyear.attacks.sanity import Level, Sanity
from steadyear.callbacks.attribution.contributions import Parts, checked, find_parts
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.evaluation.base import ClipEvaluation, Stage, check_grid
from steadyear.callbacks.evaluation.media import Media, log_to_wandb
from steadyear.callbacks.evaluation.module_outputs import with_module_outputs
from steadyear.callbacks.evaluation.tolerance import (
    Tolerance,
    check_tolerance,
    in_label_units,
    within_tolerance,
)
from steadyear.callbacks.evaluation.universal import fit_universal
from steadyear.callbacks.evaluation.waveforms import as_waveform
from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.records.clip_measures import ClipMeasures
from steadyear.callbacks.records.metadata import metadata_of
from steadyear.callbacks.records.robustness_scores import (
    budgets_in_decibels,
    robustness_by_condition,
    scores_as_text,
)
from steadyear.callbacks.records.robustness_table import Condition, RobustnessTable
from steadyear.callbacks.records.worst_cases import worst_cases
from steadyear.callbacks.sanity.other_weights import with_weights
from steadyear.callbacks.sanity.report import report_checks, warn_if_interrupted
from steadyear.foundation.records import ROBUSTNESS, RecordMetadata

_FILES = {"val": "robustness-val.parquet", "test": "robustness.parquet"}


class RobustnessEvaluation(ClipEvaluation):
    """Attacks every clip at ``validate`` and ``test`` with named attacks at several budgets.

    Writes one row per clip, attack and budget to ``robustness.parquet`` (``robustness-val.parquet``
    for validation) in the run's folder, logs the module's scores, the share of successes and the
    achieved norms as ``<stage>/<attack>@<budget>/<figure>``, and prints them; ``worst`` takes for
    every clip the attack with the largest error, of attacks that choose from the same perturbations, see
    ``steadyear.callbacks.records.worst_cases``. Scores are computed from all clips of all processes, each clip once, in
    fp32, outside autocast.

    A module that has ``scores(prediction, target) -> dict[str, float]`` is scored by it; of any
    other module the mean error per clip is reported: mean absolute error, or the share of wrong
    classes. A module with ``clip_losses(prediction, target)`` gets robustness scores per clip, see
    ``steadyear.callbacks.records.clip_measures``. Of a module that can split its predictions, see
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

    stages = ("val", "test")
    needs_gradients = True
    single_instance_setting = "attacks"

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
        # A negative budget would only be noticed by the test, when training is over.
        check_grid(self, "attack", attacks, "budgets", budgets, least=0)
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
        self._table = RobustnessTable()
        self._parts: Parts | None = None
        self._media = Media(media_clips)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a second evaluation, and attacks on submodules that do not exist, before training."""
        super().setup(trainer, pl_module, stage)
        known = {name for name, _ in pl_module.named_modules()}
        for name, attack in self.attacks.items():
            for verb, place in (
                ("perturbs", attack.view.perturb_at),
                ("reads", attack.view.read_at),
            ):
                if place is not None and place not in known:
                    top = ", ".join(sorted(n for n in known if n and "." not in n))
                    raise MisconfigurationException(
                        f"The attack {name} {verb} the submodule '{place}', which "
                        f"{type(pl_module).__name__} does not have. At its top level: {top}."
                    )

    def is_due(self, trainer: Trainer, stage: Stage) -> bool:
        """Whether this epoch is to be evaluated: during ``fit`` every n-th."""
        n = self.every_n_epochs
        due = trainer.state.fn != "fit" or (n is not None and trainer.current_epoch % n == 0)
        return due and super().is_due(trainer, stage)

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Prepare what attacks need beside the clips they attack."""
        if self.tolerance is not None:
            number = in_label_units(self.tolerance, trainer)
            self.attacks = {n: within_tolerance(a, number) for n, a in self.attacks.items()}
        self._parts = find_parts(trainer, module, self.keys)
        fit_universal(trainer, module, self.attacks, self.budgets, self.keys)
        self._table = RobustnessTable(measures=ClipMeasures.of(module))
        self._media = Media(self.media_clips)
        self._sanity = self._checks(module)

    def _checks(self, module: LightningModule) -> Sanity:
        if self.sanity != "full":
            return Sanity(self.attacks, self.budgets, self.sanity)
        loaded = {path: with_weights(module, path) for path in self.siblings}
        others = {path: other for path, other in loaded.items() if other is not None}
        twin = None if self.twin is None else with_weights(module, self.twin)
        return Sanity(self.attacks, self.budgets, self.sanity, others=others, twin=twin)

    def evaluate(self, trainer: Trainer, module: LightningModule, batch: Any, outputs: Any) -> None:
        """Attack every clip with every attack at every budget."""
        x, target = self.keys.read(batch)
        first = self._clips_seen == 0
        index = self.clip_numbers(trainer, batch, len(x))
        concepts = batch.get("concepts") if isinstance(batch, Mapping) else None
        self._sanity.begin(module, x, target, index)
        if first:
            warn_if_interrupted(self._sanity)
        domain = self.keys.domain_of(batch)
        for condition in self._conditions(domain):
            attack, path = self._sanity.watch(condition.attack)
            result = attack(module, x, target, index=index)
            self._sanity.observe(
                condition.name, condition.attack, path, result, module, x, target, index
            )
            result = with_module_outputs(module, x, result, condition.attack.view)
            parts = None if self._parts is None else self._parts.contributions(module, result)
            waveform = as_waveform(result, condition.attack.view, x, domain)
            self._table.add(condition, result, target, index, concepts, parts, waveform)
            if waveform is None:
                self._media.add(condition, result, index)
            else:
                self._media.add(replace(condition, domain="waveform"), waveform, index)

    def _conditions(self, domain: str) -> list[Condition]:
        return [
            Condition(name, attack.at(budget), budget, attack.view.place or domain)
            for name, attack in self.attacks.items()
            # An unbounded attack has one column, whatever the budgets of the others.
            for budget in ([math.inf] if math.isinf(attack.ball.eps) else self.budgets)
        ]

    def finish(self, trainer: Trainer, module: LightningModule, stage: Stage) -> None:
        """Score, log and write."""
        table = self._table
        table.rows = from_all_processes(table.rows)
        metadata = metadata_of(trainer, module)
        frame = checked(table.frame(metadata))
        metadata = self._described(frame, replace(metadata, stage=stage))
        cases = worst_cases(frame, self.attacks)
        scores = robustness_by_condition(frame, module, cases, metadata.minimal_norm)
        module.log_dict(
            {f"{stage}/{c}/{name}": v for c, values in scores.items() for name, v in values.items()}
        )
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / _FILES[stage]
            ROBUSTNESS.write(frame, metadata, path)
            log_to_wandb(trainer, module, frame, metadata, self._media)
            decibels = budgets_in_decibels(frame, cases, metadata.z_unit_db)
            rank_zero_info(
                f"\n{scores_as_text(scores, decibels)}\n{frame['index'].nunique()} clips; one row "
                f"per clip, attack and budget in {path}"
            )
        report_checks(self._sanity, trainer, frame, module, scores, cases, stage)

    def _described(self, frame: pd.DataFrame, metadata: RecordMetadata) -> RecordMetadata:
        minimal_norm = [name for name, a in self.attacks.items() if isinstance(a, MinimalNorm)]
        metadata = replace(metadata, minimal_norm=minimal_norm)
        if frame["clean_concepts"].isna().all():
            metadata = replace(metadata, supervised_concepts=None)
        if self._parts is None or "contributions" not in frame:
            return metadata
        return replace(metadata, parts=self._parts.names, part_r2=self._parts.r2)
