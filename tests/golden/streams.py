"""The random numbers whose values are recorded in `random_streams.json`: one row each.

Every scheme that keys random numbers is asked through what uses it. Whole numbers are compared
exactly, others up to the rounding of single precision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

RATE = 8000
STREAMS: dict[str, Callable[[Path], Any]] = {}
"""By name: what draws the numbers, given an empty folder."""


def stream(draw: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Enter a function under its name."""
    STREAMS[draw.__name__.replace("_", " ")] = draw
    return draw


def numbers(name: str, folder: Path) -> Any:
    """The values of a row, which leaves the global random state as it was.

    Args:
        name: Name of the row.
        folder: An empty folder.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            return plain(STREAMS[name](folder))
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def plain(values: Any) -> Any:
    """Tensors and arrays as lists, with six digits: more of them are rounding."""
    if isinstance(values, dict):
        return {key: plain(each) for key, each in values.items()}
    if isinstance(values, Tensor | np.ndarray):
        return plain(values.tolist())
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [plain(each) for each in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values


def some(values: Any, count: int = 4) -> list[float]:
    """Values that are spread over a long row."""
    flat = torch.as_tensor(values).flatten()
    return flat[torch.linspace(0, len(flat) - 1, count).long()].tolist()


class Linear(LightningModule):
    """The smallest module that can be trained and tested."""

    def __init__(self, values: int, outputs: int = 1) -> None:
        super().__init__()
        self.net = nn.Linear(values, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return (self(batch[0]) - batch[1]).square().mean()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def quiet(folder: Path, *callbacks: Any, epochs: int = 2) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=list(callbacks),
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sounding(samples: Tensor) -> list[float]:
    """Loudness of eight parts, which tell more than a few samples."""
    parts = samples.double()[: len(samples) // 8 * 8].reshape(8, -1)
    return parts.square().mean(1).sqrt().tolist()
