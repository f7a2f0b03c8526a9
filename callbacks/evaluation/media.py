"""Spectrograms and audio of attacked clips, in W&B."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from steadyear.attacks import AttackResult
from steadyear.callbacks.attribution.contributions import average_contributions
from steadyear.callbacks.records.robustness_table import Condition
from steadyear.foundation.extras import optional_imports
from steadyear.foundation.records import RecordMetadata

_FULL_SCALE = 32767


@dataclass
class Media:
    """Keeps clean clip and perturbation of the first clips, at the largest budget of each attack.

    Attributes:
        clips: Number of clips to keep.
        kept: By (attack, clip): the condition, the clean tensor and the perturbation.
    """

    clips: int
    kept: dict[tuple[str, int], tuple[Condition, Tensor, Tensor]] = field(default_factory=dict)

    def add(self, condition: Condition, result: AttackResult, index: Tensor) -> None:
        """Keep the clips of an attacked batch that are among the first."""
        for i, clip in enumerate(index.tolist()):
            key = (condition.name, clip)
            if (
                key not in self.kept
                and sum(name == condition.name for name, _ in self.kept) >= self.clips
            ):
                return
            perturbation = result.perturbation[i].detach().cpu()
            clean = result.adversarial[i].detach().cpu() - perturbation
            # Budgets come in ascending order: the largest stays.
            self.kept[key] = (condition, clean, perturbation)


def log_to_wandb(
    trainer: Trainer,
    module: LightningModule,
    frame: pd.DataFrame,
    metadata: RecordMetadata,
    media: Media,
) -> None:
    """Send tables, and images and audio of a few clips, to every W&B logger.

    The tables hold one row per clip, and the mean contributions where the module has parts. The
    module's front end, if it has one, gives the orientation and the sampling rate.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    if not loggers:
        return
    frontend = getattr(module, "frontend", None)
    import wandb  # there, because a W&B logger is

    stage = metadata.stage
    table = wandb.Table(dataframe=flat_table(frame, metadata))
    items: dict[str, Any] = {f"{stage}/robustness": table}
    if "contributions" in frame:
        averages = average_contributions(frame, metadata.targets, metadata.parts)
        items[f"{stage}/contributions"] = wandb.Table(dataframe=averages)
    for (attack, clip), (condition, clean, perturbation) in media.kept.items():
        title = f"{metadata.clip(clip)}, {attack} at {condition.budget:g}"
        images = items.setdefault(f"{stage}/images/{attack}", [])
        recordings = items.setdefault(f"{stage}/audio/{attack}", [])
        if clean.squeeze(0).ndim == 2:
            time_first = getattr(frontend, "time_dim", -1) == -2
            panels = spectrogram_panels(clean.squeeze(0), perturbation.squeeze(0), time_first)
            images.append(wandb.Image(panels, caption=f"{title}: clean, perturbation, attacked"))
        elif condition.domain == "waveform" and frontend is not None:
            for what, wave in (("clean", clean), ("attacked", clean + perturbation)):
                samples = (wave.flatten().clamp(-1, 1) * _FULL_SCALE).numpy().astype(np.int16)
                rate = int(frontend.sample_rate)
                recordings.append(
                    wandb.Audio(samples, sample_rate=rate, caption=f"{title}: {what}")
                )
    for logger in loggers:
        # The Lightning logger counts steps itself; without its key the table would open a new axis.
        step = {"trainer/global_step": trainer.global_step}
        logger.experiment.log({key: value for key, value in items.items() if value != []} | step)


def flat_table(frame: pd.DataFrame, metadata: RecordMetadata) -> pd.DataFrame:
    """The table with one column per target and concept, which W&B can sort and plot."""
    flat: dict[str, Any] = {}
    for column in frame.columns:
        values = frame[column]
        if values.isna().all():
            continue
        if not isinstance(values.iloc[0], list | np.ndarray):
            flat[column] = values
            continue
        labels = metadata.names_in(column)
        width = len(values.iloc[0])
        labels = labels if len(labels) == width else [str(i) for i in range(width)]
        parts = np.stack(values.tolist())
        flat |= {f"{column}/{label}": parts[:, i] for i, label in enumerate(labels)}
    return pd.DataFrame(flat)


def spectrogram_panels(
    clean: Tensor, perturbation: Tensor, time_first: bool
) -> np.ndarray[Any, Any]:
    """Clean, perturbation and attacked spectrogram side by side, low frequencies at the bottom.

    The perturbation has a diverging scale of its own, or it would be invisible.

    Args:
        clean: Spectrogram in z-units, shape (height, width).
        perturbation: Same shape.
        time_first: Whether time runs along the first dimension.

    Returns:
        Colours, shape (bands, 3 * frames + gaps, 3), uint8.
    """
    attacked = clean + perturbation
    low, high = float(clean.min()), float(clean.max())
    largest = float(perturbation.abs().max()) or 1.0
    panels = [
        _coloured(clean, low, high, "magma", time_first),
        _coloured(perturbation, -largest, largest, "RdBu_r", time_first),
        _coloured(attacked, low, high, "magma", time_first),
    ]
    gap = np.full((panels[0].shape[0], 4, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def _coloured(
    values: Tensor, low: float, high: float, colours: str, time_first: bool
) -> np.ndarray[Any, Any]:
    image = (values.T if time_first else values).flip(0).numpy()
    scaled = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    with optional_imports("A picture of a spectrogram"):
        from matplotlib import colormaps
    return np.asarray(colormaps[colours](scaled)[..., :3] * 255).astype(np.uint8)
