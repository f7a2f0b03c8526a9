"""The counts of a training run, over its parts and processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lightning.pytorch import Trainer

from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.training.cost import clips_in, compute_of_callbacks, keys_of

COUNTS: Final = ("training_clips", "attack_gradient_queries")


class TrainingCounts:
    """Counts clips and gradient queries of one fit, from where an earlier part of the run ended.

    What the earlier part spent comes from ``run.json``, like its seconds, and not from a checkpoint,
    which would hold the counts of the first process only.

    Args:
        trainer: The trainer, at the start of training.
        record: ``run.json`` of the run that is resumed; ``None`` for a new one.
    """

    def __init__(self, trainer: Trainer, record: Mapping[str, Any] | None) -> None:
        self._before = {name: 0 if record is None else record.get(name) for name in COUNTS}
        self._compute_before = compute_of_callbacks(trainer)
        self._clips: int | None = 0

    def add(self, trainer: Trainer, batch: Any) -> None:
        """Count a batch of the module's own training step."""
        clips = clips_in(batch, keys_of(trainer))
        self._clips = None if clips is None or self._clips is None else self._clips + clips

    def totals(self, trainer: Trainer) -> dict[str, int | None]:
        """The counts of the run so far by their names in ``run.json``; every process must call this.

        ``None`` where a part is unknown.
        """
        compute, before = compute_of_callbacks(trainer), self._compute_before
        clips = compute.attack_training_clips - before.attack_training_clips
        queries = compute.attack_gradient_queries - before.attack_gradient_queries
        here = {
            "training_clips": None if self._clips is None else self._clips + clips,
            "attack_gradient_queries": queries,
        }
        parts = from_all_processes([here])
        return {name: _sum(self._before[name], *(part[name] for part in parts)) for name in COUNTS}


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
