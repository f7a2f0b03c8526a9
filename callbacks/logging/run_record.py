"""What a run leaves in its folder besides metrics and checkpoints."""

from __future__ import annotations

import json
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger

from steadyear.callbacks.training.cost import forward_gflops, keys_of
from steadyear.callbacks.training.training_counts import COUNTS, TrainingCounts
from steadyear.foundation.atomic_files import write_text

_PACKAGES = ("steadyear", "torch", "torchaudio", "lightning", "torchmetrics")


class RunRecord(SaveConfigCallback):
    """Writes ``config-<stage>.yaml`` and ``run.json``, and the whole configuration to W&B.

    Every stage has a file of its own, so ``test`` does not overwrite the configuration of ``fit``.
    ``run.json`` says what ``steadyear compare`` needs to know: experiment, run, system, seed,
    training time, epochs, parameters, device and versions; and, for the cost of training,
    ``forward_gflops_per_clip``, ``training_clips`` (forward and backward passes to the parameters,
    times clips, those of adversarial batches included) and ``attack_gradient_queries`` (forward and
    backward passes to the input, times clips), summed over processes. With the rule that a backward
    pass costs a forward pass for the input and another one for the parameters, training cost

        GFLOPs = forward_gflops_per_clip * (3 * training_clips + 2 * attack_gradient_queries)

    without validation, optimiser steps and what ``forward_gflops`` leaves out. An attribute
    ``attack_gradient_queries`` or ``attack_training_clips`` of any callback is counted in. What
    cannot be found out for a foreign module is ``null``.
    """

    _facts: dict[str, Any]
    _started = 0.0
    _seconds_before = 0.0
    _measured = False
    _counts: TrainingCounts

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the configuration; called on the first process only."""
        folder = Path(trainer.default_root_dir)
        text = self.parser.dump(self.config, skip_none=False)
        name = getattr(stage, "value", stage)
        write_text(folder / f"config-{name}.yaml", text)
        config = yaml.safe_load(text)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update(config, allow_val_change=True)
        experiment = str(config.get("experiment"))
        self._facts = {
            "format": 1,
            "experiment": experiment,
            "run": folder.name,
            "system": experiment.rsplit("/", 1)[-1],
            "seed": config.get("seed_everything"),
            "fit_seconds": None,
            "fit_finished": False,
            "epochs": None,
            "forward_gflops_per_clip": None,
            **dict.fromkeys(COUNTS),
            "parameters": sum(p.numel() for p in pl_module.parameters()),
            "device": device_name(trainer),
            "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        # What training said stands: a test may come with another seed or device.
        record = self._facts | read_record(folder)
        write_text(folder / "run.json", json.dumps(record, indent=2) + "\n")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a resumed run continues its own."""
        self._started = time.monotonic()
        resumed = trainer.current_epoch > 0
        if trainer.is_global_zero:
            # A resumed run is what it was; a new one has nothing of an earlier run in its folder.
            self._note(trainer, **({"fit_finished": False} if resumed else self._facts))
        record = read_record(Path(trainer.default_root_dir)) if resumed else None
        self._seconds_before = float((record or {}).get("fit_seconds") or 0.0)
        self._counts, self._measured = TrainingCounts(trainer, record), False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Measure a forward pass, once."""
        if not self._measured:
            self._measured = True
            cost = forward_gflops(pl_module, batch, keys_of(trainer))
            self._note(trainer, forward_gflops_per_clip=cost)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the clips."""
        self._counts.add(trainer, batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note training time, epochs and counts; every epoch, because a run may be killed."""
        seconds = round(self._seconds_before + time.monotonic() - self._started, 3)
        epochs, counts = trainer.current_epoch + 1, self._counts.totals(trainer)
        self._note(trainer, fit_seconds=seconds, epochs=epochs, **counts)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that training came to its end."""
        if not trainer.interrupted:
            self._note(trainer, fit_finished=True)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure a forward pass where training did not."""
        if batch_idx or dataloader_idx:
            return
        # Every process measures: a sharded module waits for all of them.
        cost = forward_gflops(pl_module, batch, keys_of(trainer))
        if read_record(Path(trainer.default_root_dir)).get("forward_gflops_per_clip") is None:
            self._note(trainer, forward_gflops_per_clip=cost)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how far the tested run was trained, so that outdated results are recognised."""
        epochs = read_record(Path(trainer.default_root_dir)).get("epochs")
        self._note(trainer, tested_after_epochs=epochs)

    def _note(self, trainer: Trainer, **facts: Any) -> None:
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            record = read_record(folder) | facts
            write_text(folder / "run.json", json.dumps(record, indent=2) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a run so far; empty for a new run."""
    path = folder / "run.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def device_name(trainer: Trainer) -> str:
    """Kind of device that the run used, with the chip's name where there is one."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return device.type
