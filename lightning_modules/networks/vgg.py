"""The convolutional network of the music emotion models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadyear.lightning_modules.networks.initialization import kaiming_normal


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class AudioVGG(nn.Module):
    """VGG-style network that turns a spectrogram into one embedding per clip.

    Nine convolutions, each with batch normalisation and ReLU, then the average over time and
    frequency; the network of Chowdhury et al., "Towards explainable music emotion recognition"
    (ISMIR 2019). Time and frequency need at least 7 values each.

    Args:
        width: Factor for every number of channels; 1 is the published size.
        in_channels: Channels of the spectrogram.
        dropout: Probability of dropping a channel behind each pooling.

    Raises:
        ValueError: If ``width`` is not positive.

    Attributes:
        embedding_dim: Size of the embedding, 256 at ``width=1``.
    """

    def __init__(self, width: float = 1.0, in_channels: int = 1, dropout: float = 0.3) -> None:
        super().__init__()
        if not width > 0:
            raise ValueError(f"The network needs a positive width, not {width}.")
        c64, c128, c256, c384, c512 = (
            max(1, round(width * channels)) for channels in (64, 128, 256, 384, 512)
        )
        self.embedding_dim = c256
        self.layers = nn.Sequential(
            _conv(in_channels, c64, kernel=5, stride=2),
            _conv(c64, c64, kernel=3),
            nn.MaxPool2d(2),
            nn.Dropout2d(dropout),
            _conv(c64, c128, kernel=3),
            _conv(c128, c128, kernel=3),
            nn.MaxPool2d(2),
            nn.Dropout2d(dropout),
            _conv(c128, c256, kernel=3),
            _conv(c256, c256, kernel=3),
            _conv(c256, c384, kernel=3),
            _conv(c384, c512, kernel=3),
            _conv(c512, c256, kernel=1),
        )
        self.apply(kaiming_normal)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Compute the embedding of each clip.

        Args:
            spectrogram: Standardised spectrograms, shape (batch, ``in_channels``, time, frequency).

        Returns:
            Embeddings, shape (batch, ``embedding_dim``).
        """
        features: Tensor = self.layers(spectrogram)
        return torch.mean(features, dim=(-2, -1))
