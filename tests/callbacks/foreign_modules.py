"""Modules as somebody else would write them: they import nothing of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

CLIPS = 34
TEST_CLIPS = 33
"""Odd, so that a sampler for two processes repeats a clip."""


class Foreign(LightningModule):
    def __init__(self, optimizer=torch.optim.Adam, lr=1e-2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
        self.optimizer, self.lr = optimizer, lr

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        pass

    def test_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return self.optimizer(self.parameters(), lr=self.lr)


class WithoutBatchIdx(Foreign):
    def training_step(self, batch):
        x, y = batch
        return F.mse_loss(self(x), y)


class WithMapping(Foreign):
    def training_step(self, batch, batch_idx):
        return F.mse_loss(self(batch["sound"]), batch["rating"])


class Manual(Foreign):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(F.mse_loss(self(batch[0]), batch[1]))
        optimizer.step()


class Noisy(Foreign):
    """Has all that an attack might disturb: batch statistics, dropout, a count of its steps."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2)
        )
        self.losses: list[tuple[int, float]] = []
        self.seen: list[torch.Tensor] = []

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.losses.append((len(batch[0]), loss.item()))
        self.seen.append(batch[1])
        return loss


class Mapped(Dataset[dict[str, Any]]):
    """A data set of mappings.

    Args:
        keys: Their keys, for input and target.
        clips: Number of clips.
    """

    def __init__(self, keys: tuple[str, str], clips: int = CLIPS) -> None:
        self.keys = keys
        self.tensors = tensors(clips)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {key: value[i] for key, value in zip(self.keys, self.tensors, strict=True)}


def tensors(clips: int = CLIPS) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(clips, 6, generator=generator)
    return x, torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin()], 1)


def loader(clips: int = CLIPS, batch_size: int = 8, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*tensors(clips)), batch_size=batch_size, shuffle=shuffle)


def seeded(module_class: Any, *args: Any, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    return module_class(*args, **kwargs)


def trainer(folder: Path | None, *callbacks: Any, **settings: Any) -> Trainer:
    return Trainer(
        **{
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 2,
            "callbacks": list(callbacks),
            "default_root_dir": folder,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "inference_mode": False,
        }
        | settings
    )


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()
