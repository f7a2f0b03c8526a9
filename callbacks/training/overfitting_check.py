"""Catastrophic overfitting: adversarial training that learns to fool a single step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from steadyear.attacks import FGSM, PGD, Ball, Objective, prediction_of
from steadyear.attacks.sanity import SanityReport, Status
from steadyear.attacks.sanity.protocol.evidence import Record, record
from steadyear.attacks.sanity.report import judged
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.sanity.report import write_report
from steadyear.foundation.task import clip_errors_of

_CLIPS = 32
_STEPS = 10


class OverfittingCheck(Callback):
    """Attacks one training batch per epoch with one step and with ten.

    A model in catastrophic overfitting withstands single steps and breaks under ten (Wong et al.,
    2020, arXiv 2001.03994): the errors under both are logged as ``sanity/single_step_error`` and
    ``sanity/ten_step_error``. For classes the check fails when they are more than 20 points apart;
    for real values when ten steps cause more than 1.5 times the error of one, and 1.5 times what
    they did in the best epoch. ``sanity-fit.json`` holds the verdict of the last epoch.

    Args:
        ball: The ball of the training.
        objective: What is maximised; ``None`` stands for ``SquaredError()``.
        keys: Where batches hold input and target; ``None`` finds the usual places.
        stop: Stop the training when the check fails.
    """

    def __init__(
        self,
        ball: Ball,
        objective: Objective | None = None,
        keys: BatchKeys | None = None,
        stop: bool = False,
    ) -> None:
        self.attacks = {
            "single": FGSM(ball, objective),
            "iterative": PGD(ball, objective, steps=_STEPS, relative_step=0.25),
        }
        self.keys = keys or BatchKeys()
        self.stop = stop
        self._records: list[Record] = []
        self._batch: Any = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what another training left."""
        self._records, self._batch = [], None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the first batch of the epoch."""
        if batch_idx == 0:
            self._batch = tuple(part[:_CLIPS].detach() for part in self.keys.read(batch))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attack it, log the errors, and stop if that is wanted."""
        if self._batch is None:
            return
        x, target = self._batch
        self._batch = None
        index = torch.arange(len(x))
        error = clip_errors_of(pl_module)
        columns = {"classes": torch.full((len(x),), float(not target.is_floating_point()))}
        for name, attack in self.attacks.items():
            result = attack(pl_module, x, target, index=index)
            columns[name] = error(prediction_of(result.output), target)
        one = record("catastrophic_overfitting", "training", trainer.current_epoch, index, columns)
        # Every process has a batch of its own, and clips of equal numbers are different clips.
        one["index"] = (index + trainer.global_rank * _CLIPS).tolist()
        self._records += from_all_processes([one])
        for name, word in (("single", "single"), ("iterative", "ten")):
            mean = columns[name].double().mean()
            pl_module.log(f"sanity/{word}_step_error", mean.float(), sync_dist=True)
        verdict = self.report()["catastrophic_overfitting"]
        if verdict.status is Status.FAIL:
            rank_zero_warn(
                f"Catastrophic overfitting: {verdict.finding.value:.3g} {verdict.finding.says}."
            )
            trainer.should_stop = trainer.should_stop or self.stop

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the verdict."""
        if self._records and trainer.is_global_zero:
            write_report(self.report(), "fit", Path(trainer.default_root_dir))

    def report(self) -> SanityReport:
        """The verdict so far; all other checks are skipped."""
        return judged(self._records, "free")
