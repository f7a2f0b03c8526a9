"""How much of an attack on spectrograms a waveform can realise, at test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from steadyear.attacks import Attack, prediction_of
from steadyear.attacks.evaluation.realisability import realisability_gap
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.evaluation.base import ClipEvaluation, Stage
from steadyear.callbacks.processes import from_all_processes
from steadyear.foundation.task import clip_errors_of


class RealisabilityGap(ClipEvaluation):
    """Attacks spectrograms at ``test``, searches waveforms that have them, and measures those.

    Logs means over the clips: ``test/realisability/clean_error``, ``attacked_error`` of the attacked
    spectrograms, ``realised_error`` of the spectrograms of the waveforms, ``gap``, the share
    of the perturbation that no waveform was found to have, and ``snr_db`` of the waveforms. Spectrograms are those
    of the batch's waveforms behind the module's front end; batches without waveforms are left out.
    The error is the module's own ``clip_errors`` if it has them.

    Args:
        attack: The attack, on the spectrograms that the module takes as its input.
        keys: Where batches hold waveform and target; ``None`` finds ``waveform`` and ``target``.
        max_clips: Number of clips that are attacked in each process; the search is slow.

    Raises:
        ValueError: If the attack perturbs or reads something inside the module, or has a domain; the
            front end is applied here.
    """

    needs_gradients = True

    def __init__(self, attack: Attack, keys: BatchKeys | None = None, max_clips: int = 64) -> None:
        if not attack.view.at_input or attack.view.read_at is not None:
            raise ValueError(
                "RealisabilityGap applies the front end itself: its attack perturbs the module's "
                "input and reads its output, so leave domain, perturb_at and read_at out of its view."
            )
        self.attack = attack
        self.keys = keys or BatchKeys(input="waveform")
        self.max_clips = max_clips
        self._rows: list[dict[str, float]] = []

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Refuse a module without a front end.

        Raises:
            MisconfigurationException: If the module has none.
        """
        self._rows = []
        if not isinstance(getattr(module, "frontend", None), nn.Module):
            raise MisconfigurationException(
                f"RealisabilityGap needs a front end in an attribute 'frontend', which "
                f"{type(module).__name__} does not have."
            )

    def evaluate(self, trainer: Trainer, module: LightningModule, batch: Any, outputs: Any) -> None:
        """Attack the first clips, and search waveforms."""
        if isinstance(batch, Mapping) and self.keys.input not in batch:
            return
        count = max(self.max_clips - len(self._rows), 0)
        waveform, target = (values[:count] for values in self.keys.read(batch))
        if len(waveform):
            index = self.clip_numbers(trainer, batch, len(waveform))
            self._add(module, waveform, target, index)

    def _add(
        self, module: LightningModule, waveform: Tensor, target: Tensor, index: Tensor
    ) -> None:
        frontend: nn.Module = module.frontend  # type: ignore[assignment]
        with torch.no_grad():
            spectrogram = frontend(waveform)
        result = self.attack(module, spectrogram, target, index=index)
        found = realisability_gap(
            module, frontend, result, waveform, target, self.attack.objective, self.attack.view
        )
        error = clip_errors_of(module)
        columns = {
            "clean_error": error(prediction_of(result.clean_output), target),
            "attacked_error": error(prediction_of(result.output), target),
            "realised_error": error(prediction_of(found.output), target),
            "gap": found.sound.gap,
            "snr_db": found.sound.snr_db,
            "index": index,
        }
        values = [column.double().tolist() for column in columns.values()]
        self._rows += [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]

    def finish(self, trainer: Trainer, module: LightningModule, stage: Stage) -> None:
        """Log the means, each clip once."""
        rows = {row["index"]: row for row in from_all_processes(self._rows)}.values()
        for name in next(iter(rows), {}):
            if name != "index":
                mean = sum(row[name] for row in rows) / len(rows)
                module.log(f"test/realisability/{name}", mean)
