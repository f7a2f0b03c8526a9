"""The base of callbacks that evaluate every clip of a validation, a test or a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence, Sized
from typing import Any, ClassVar, Literal

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from steadyear.callbacks.batches import clip_index

Stage = Literal["val", "test", "predict"]


class ClipEvaluation(Callback, ABC):
    """Base of the evaluations: ``begin``, then ``evaluate`` batch by batch, then ``finish``.

    An evaluation that is not due, or that was interrupted, leaves nothing behind.
    """

    stages: ClassVar[tuple[Stage, ...]] = ("test",)
    """Where the callback evaluates."""

    needs_gradients: ClassVar[bool] = False
    """Whether it fails under inference mode."""

    single_instance_setting: ClassVar[str | None] = None
    """Setting that a single callback of the class must hold; ``None`` allows several callbacks."""

    _running = False
    _clips_seen = 0

    def is_due(self, trainer: Trainer, stage: Stage) -> bool:
        """Whether this epoch is to be evaluated."""
        return stage in self.stages and not trainer.sanity_checking

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Prepare an evaluation."""

    @abstractmethod
    def evaluate(self, trainer: Trainer, module: LightningModule, batch: Any, outputs: Any) -> None:
        """Evaluate a batch, given what the module's step returned."""

    def finish(self, trainer: Trainer, module: LightningModule, stage: Stage) -> None:
        """Gather, score, log and write."""

    def clip_numbers(self, trainer: Trainer, batch: Any, size: int) -> Tensor:
        """Number of each clip of a batch in its data set, shape (size,).

        In batches without an index it follows from the order of the clips, which distributed
        samplers assign to processes in turn.

        Args:
            trainer: The trainer.
            batch: The batch.
            size: How many of its clips are evaluated.
        """
        index = clip_index(batch)
        first, self._clips_seen = self._clips_seen, self._clips_seen + size
        if index is not None:
            return index[:size]
        position = (first + torch.arange(size)) * trainer.world_size + trainer.global_rank
        dataset = getattr(_loader(trainer), "dataset", None)
        # Distributed samplers fill the last batch with the first clips again.
        return position % len(dataset) if isinstance(dataset, Sized) else position

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a second callback of the class where it would overwrite files and metrics.

        Raises:
            MisconfigurationException: If there are several.
        """
        name, setting = type(self).__name__, self.single_instance_setting
        # Lightning does not type this attribute.
        present: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        found = sum(isinstance(callback, type(self)) for callback in present)
        if setting is not None and found > 1:
            raise MisconfigurationException(
                f"There are {found} {name} callbacks, which would overwrite each other's files and "
                f"metrics: put all {setting} into one callback's `{setting}`, and switch the others "
                "off with null."
            )

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._running, self._clips_seen = self.is_due(trainer, _stage(trainer)), 0
        if not self._running:
            return
        if self.needs_gradients and torch.is_inference_mode_enabled():
            raise MisconfigurationException(
                f"{type(self).__name__} needs gradients, which inference mode forbids: set "
                "trainer.inference_mode to false."
            )
        self.begin(trainer, pl_module)

    def _evaluate(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not self._running:
            return
        if dataloader_idx > 0:
            raise MisconfigurationException(
                f"{type(self).__name__} evaluates one dataloader; give one per run."
            )
        self.evaluate(trainer, pl_module, batch, outputs)

    def _finish(self, trainer: Trainer, pl_module: LightningModule) -> None:
        running, self._running = self._running, False
        if running:
            self.finish(trainer, pl_module, _stage(trainer))

    on_validation_epoch_start = _begin
    on_test_epoch_start = _begin
    on_predict_epoch_start = _begin

    on_validation_batch_end = _evaluate
    on_test_batch_end = _evaluate
    on_predict_batch_end = _evaluate

    on_validation_epoch_end = _finish
    on_test_epoch_end = _finish
    on_predict_epoch_end = _finish


def check_grid(
    owner: ClipEvaluation,
    part: str,
    parts: Collection[str],
    levels_name: str,
    levels: Sequence[float],
    least: int,
) -> None:
    """Refuse an evaluation of nothing, and levels that are repeated or below ``least``.

    Raises:
        ValueError: If it is refused.
    """
    distinct = len(set(levels)) == len(levels)
    if not (parts and levels and distinct and min(levels) >= least):
        raise ValueError(
            f"{type(owner).__name__} needs at least one {part} and distinct {levels_name} >= {least}, "
            f"not {sorted(parts)} at {list(levels)}."
        )


def _stage(trainer: Trainer) -> Stage:
    if trainer.predicting:
        return "predict"
    return "test" if trainer.testing else "val"


def _loader(trainer: Trainer) -> Any:
    loaders = getattr(trainer, f"{_stage(trainer)}_dataloaders")
    return loaders[0] if isinstance(loaders, list | tuple) else loaders
