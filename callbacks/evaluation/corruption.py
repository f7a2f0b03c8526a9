"""Evaluation under corruptions, for any LightningModule that takes waveforms."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from steadyear.attacks import attack_mode, prediction_of, snr_db
from steadyear.callbacks.batches import BatchKeys, clip_index
from steadyear.callbacks.evaluation.base import ClipEvaluation, Stage, check_grid
from steadyear.callbacks.evaluation.corruption_scores import as_text, corruption_scores
from steadyear.callbacks.processes import from_all_processes
from steadyear.callbacks.records.corruption_table import CorruptionTable
from steadyear.callbacks.records.metadata import metadata_of
from steadyear.foundation.random_streams import seed_of_key, torch_generator
from steadyear.foundation.records import CORRUPTIONS
from steadyear.foundation.task import clip_errors_of

FILE = "corruptions.parquet"


class ClipCorruption(Protocol):
    """Corrupts one clip; several clips are corrupted at once, each in a thread of its own."""

    # It returns a Tensor; but jsonargparse takes a protocol that says so for a maker of Tensors.
    def __call__(
        self, waveform: Tensor, sample_rate: int, severity: int, generator: torch.Generator
    ) -> Any:
        """Corrupt a clip; the result has the same length.

        Args:
            waveform: The clip, shape (time,), on the CPU.
            sample_rate: Its sampling rate in Hz.
            severity: How much, from 1.
            generator: Random numbers of the clip, on the CPU.
        """


class CorruptionEvaluation(ClipEvaluation):
    """Corrupts every clip at ``test`` in several ways and severities: the benchmark audio-C.

    Writes one row per clip, corruption and severity to ``corruptions.parquet`` in the run's folder,
    logs the module's scores as ``test/audio_c/<corruption>@<severity>/<score>``, their mean over
    corruptions and severities as ``test/audio_c/mean/<score>``, and prints them. ``worst`` is, for
    every score, the corruption that degrades it most, as its mean over severities; ``worst_per_clip``
    takes for every clip and severity the corruption with the largest error of the clip. ``clean`` is
    scored from the waveforms, too, so all scores are comparable. Modules are scored as in
    ``RobustnessEvaluation``, from all clips of all processes, each clip once, in fp32, outside
    autocast.

    Batches are mappings with waveforms (batch, time) and the ``index`` of their clips. Random
    numbers are a function of the seed, the corruption's name and the clip, the same at every
    severity; so results do not depend on batches or processes.

    Args:
        corruptions: Corruptions by the name they have in tables.
        severities: Severities that every corruption is run at.
        keys: Where batches hold waveform and target; ``None`` finds the usual places.
        sample_rate: Sampling rate of the waveforms in Hz; ``None`` asks the module's front end.
        seed: Seed of the random numbers.

    Raises:
        ValueError: If there is no corruption or no severity, or one is repeated or below 1.
    """

    single_instance_setting = "corruptions"

    def __init__(
        self,
        corruptions: dict[str, ClipCorruption],
        severities: Sequence[int] = (1, 2, 3, 4, 5),
        keys: BatchKeys | None = None,
        sample_rate: int | None = None,
        seed: int = 0,
    ) -> None:
        check_grid(self, "corruption", corruptions, "severities", severities, least=1)
        self.corruptions = corruptions
        self.severities = sorted(severities)
        self.keys = keys or BatchKeys(input="waveform")
        self.sample_rate = sample_rate
        self.seed = seed
        self._table = CorruptionTable()

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Start an empty table."""
        self._table = CorruptionTable(error=clip_errors_of(module))

    def evaluate(self, trainer: Trainer, module: LightningModule, batch: Any, outputs: Any) -> None:
        """Corrupt a test batch by every corruption in every severity."""
        waveform, target, index = self._read(batch)
        rate, clips, clip_numbers = self._rate(module), waveform.detach().cpu(), index.tolist()
        clean = self._table.clean(index, target, _predict(module, waveform))
        for name in self.corruptions:
            for severity in self.severities:
                corrupted = self._corrupt(name, severity, clips, rate, clip_numbers)
                prediction = _predict(module, corrupted.to(waveform))
                snr = snr_db(clips, corrupted - clips)
                self._table.add((name, severity), clean, target, prediction, snr)

    def finish(self, trainer: Trainer, module: LightningModule, stage: Stage) -> None:
        """Score, log, write and print."""
        table = self._table
        table.rows = from_all_processes(table.rows)
        metadata = replace(metadata_of(trainer, module), stage=stage)
        frame = table.frame(metadata)
        scores = corruption_scores(frame, module)
        logged = {
            f"test/audio_c/{of}/{name}": v
            for of, values in scores.items()
            for name, v in values.items()
        }
        module.log_dict(logged)
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / FILE
            CORRUPTIONS.write(frame, metadata, path)
            clips = frame["index"].nunique()
            rank_zero_info(
                f"\n{as_text(frame, scores)}\n{clips} clips; one row per clip, corruption and "
                f"severity in {path}"
            )

    def _read(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        index = clip_index(batch)
        if index is None:
            raise MisconfigurationException(
                "CorruptionEvaluation needs batches that are mappings with the index of each clip: "
                "its random numbers depend on it."
            )
        if self.keys.input is not None and self.keys.input not in batch:
            raise MisconfigurationException(
                f"CorruptionEvaluation corrupts waveforms, and the batch has no {self.keys.input}, "
                f"only {', '.join(sorted(batch))}: set data.init_args.stream to 'both' or 'waveform'."
            )
        waveform, target = self.keys.read(batch)
        if waveform.ndim != 2:
            raise MisconfigurationException(
                "CorruptionEvaluation corrupts waveforms of shape (batch, time), not "
                f"{tuple(waveform.shape)}: say where they are with keys.input."
            )
        return waveform, target, index

    def _rate(self, module: LightningModule) -> int:
        frontend = getattr(module, "frontend", None)
        rate = self.sample_rate or getattr(frontend, "sample_rate", None)
        if rate is None:
            raise MisconfigurationException(
                "CorruptionEvaluation does not know the sampling rate: the module has no "
                "frontend.sample_rate; give the callback's sample_rate."
            )
        return int(rate)

    def _corrupt(
        self, name: str, severity: int, clips: Tensor, rate: int, index: Sequence[int]
    ) -> Tensor:
        def corrupted(clip: Tensor, number: int) -> Tensor:
            generator = torch_generator(seed_of_key(self.seed, name, number))
            changed: Tensor = self.corruptions[name](clip, rate, severity, generator)
            return changed

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.stack(list(pool.map(corrupted, clips.clone(), index)))


def _predict(module: LightningModule, waveform: Tensor) -> Tensor:
    with attack_mode(module, waveform.device), torch.no_grad():
        return prediction_of(module(waveform)).float()
