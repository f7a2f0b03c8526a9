"""Figures of the prototypes that a model recognised, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.evaluation.base import ClipEvaluation
from steadyear.callbacks.records.metadata import metadata_of
from steadyear.foundation.extras import optional_imports
from steadyear.foundation.records import RecordMetadata

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PrototypeFigures(ClipEvaluation):
    """Draws the most active prototypes of some test clips over their spectrograms.

    One picture per clip in the run's folder ``prototypes/``, and in W&B as ``test/prototypes``: the
    spectrogram, and beside it the map of similarity of each prototype, with its class and what
    it adds to the logit of that class (weight times activation).

    Args:
        clips: Number of clips, the first of the test.
        top_k: Number of prototypes for each clip.
        keys: Where batches hold input and target; ``None`` finds the usual places.

    Raises:
        ValueError: If there is nothing to draw.
    """

    def __init__(self, clips: int = 4, top_k: int = 3, keys: BatchKeys | None = None) -> None:
        if clips < 1 or top_k < 1:
            raise ValueError("PrototypeFigures needs at least one clip and one prototype.")
        self.clips = clips
        self.top_k = top_k
        self.keys = keys or BatchKeys()
        self._drawn = 0

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Make sure that there are prototypes.

        Raises:
            MisconfigurationException: If the module has no prototypes.
        """
        self._drawn = 0
        if not hasattr(getattr(module, "head", None), "prototype_maps"):
            raise MisconfigurationException(
                f"PrototypeFigures needs a head with prototypes, such as AudioProtoPNetHead; that of "
                f"{type(module).__name__} has none. Switch the callback off."
            )

    def evaluate(self, trainer: Trainer, module: LightningModule, batch: Any, outputs: Any) -> None:
        """Draw the first clips; the first process does it alone."""
        wanted = self.clips - self._drawn
        if wanted <= 0 or not trainer.is_global_zero:
            return
        x = self.keys.read(batch)[0][:wanted]
        metadata = metadata_of(trainer)
        self._drawn += len(x)
        for clip, number in zip(x, self.clip_numbers(trainer, batch, len(x)), strict=True):
            name = metadata.clip(int(number))
            figure = draw_prototypes(module, clip, self.top_k, metadata, name)
            _keep(trainer, figure, name)


@torch.no_grad()
def draw_prototypes(
    module: Any, clip: Tensor, top_k: int, metadata: RecordMetadata, title: str
) -> Figure:
    """Draw a clip, a waveform (time,) or spectrogram (1, height, width), and its top prototypes."""
    x = clip[None]
    spectrogram = module.frontend(x) if x.ndim == 2 else x
    height, width = spectrogram.shape[-2:]
    found = module.head.prototype_maps(module.embed(x), top_k, (height, width))
    panels = found.maps.shape[1] + 1
    with optional_imports("A picture of prototypes"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(3.2 * panels, 2.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, panels, sharey=True))
    image = spectrogram[0, 0].float().cpu().numpy()
    for axis in axes:
        axis.imshow(image, origin="lower", aspect="auto", cmap="gray_r")
        axis.set_xlabel("frame")
    axes[0].set_ylabel("band")
    axes[0].set_title(title, fontsize=8)
    for i, axis in enumerate(axes[1:]):
        number, owner = int(found.prototypes[0, i]), int(found.classes[0, i])
        label = metadata.targets[owner] if owner < len(metadata.targets) else f"class {owner}"
        similarity = found.maps[0, i].float().cpu().numpy()
        axis.imshow(similarity, origin="lower", aspect="auto", cmap="inferno", alpha=0.55)
        axis.set_title(
            f"{label}, prototype {number}: {float(found.contributions[0, i]):+.2f}", fontsize=8
        )
    return figure


def _keep(trainer: Trainer, figure: Figure, name: str) -> None:
    folder = Path(trainer.default_root_dir) / "prototypes"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(name).name}.png"
    figure.savefig(path, dpi=120)
    rank_zero_info(f"Prototypes of {name}: {path}")
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image("test/prototypes", [str(path)], caption=[name])
