"""Small modules of ours that several files evaluate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadyear.lightning_modules import A2M2E, LogMel, RegressionModule


class LinearHead(nn.Module):
    """A head of one layer, without concepts."""

    def __init__(self, embedding_dim: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(embedding_dim, outputs)

    def forward(self, embedding: Tensor) -> tuple[Tensor, None]:
        return self.layer(embedding), None


def waveform_module(sample_rate: int) -> RegressionModule:
    """Predicts two ratings and three concepts of 320 samples."""
    torch.manual_seed(5)
    frontend = LogMel(64, 32, 8, sample_rate=sample_rate, mean=-30.0, std=20.0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8 * 11, 6), nn.Tanh())
    network.embedding_dim = 6
    return RegressionModule(network, lambda dim: A2M2E(dim, 2, 3), frontend, concept_weight=0.5)
