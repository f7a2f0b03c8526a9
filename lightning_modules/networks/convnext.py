"""The backbone of the bird sound models: ConvNeXt over one-channel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from steadyear.foundation.extras import optional_imports

SMALLEST_INPUT = 32
"""Bands and frames that the four stages need: they reduce both 32-fold."""


class ConvNeXt(nn.Module):
    """ConvNeXt from spectrograms to maps of features.

    Liu et al., "A ConvNet for the 2020s" (CVPR 2022), in the implementation of transformers. The
    defaults are the Base size of the published BirdSet and AudioProtoPNet models. The map is what
    their authors call the last hidden state: before the spatial mean and before the final layer
    normalisation, which belongs to :class:`ConvNeXtHead`. Weights start at random; published ones
    come from :func:`load_published`. There is no BatchNorm and no dropout: with ``drop_path`` 0,
    training and evaluation mode compute the same.

    Args:
        depths: Number of blocks in each of the four stages.
        hidden_sizes: Number of channels in each of the four stages.
        drop_path: Probability of skipping the last block for a clip, in training; it grows from 0
            at the first block.
        in_channels: Channels of the spectrogram.

    Raises:
        ValueError: If there are not four stages, or ``drop_path`` is not in [0, 1).

    Attributes:
        embedding_dim: Channels of the map.
    """

    def __init__(
        self,
        depths: Sequence[int] = (3, 3, 27, 3),
        hidden_sizes: Sequence[int] = (128, 256, 512, 1024),
        drop_path: float = 0.0,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        if not len(depths) == len(hidden_sizes) == 4 or min(*depths, *hidden_sizes) < 1:
            raise ValueError(
                "ConvNeXt has four stages: give four positive depths and four positive "
                f"hidden_sizes, not {list(depths)} and {list(hidden_sizes)}."
            )
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path must be in [0, 1), not {drop_path}.")
        with optional_imports("ConvNeXt"):
            from transformers import ConvNextConfig, ConvNextModel
        config = ConvNextConfig(
            num_channels=in_channels,
            depths=list(depths),
            hidden_sizes=list(hidden_sizes),
            drop_path_rate=drop_path,
        )
        model = ConvNextModel(config)
        # The model's own final normalisation would be a parameter without a gradient here.
        self.embeddings = model.embeddings
        self.encoder = model.encoder
        self.embedding_dim = hidden_sizes[-1]

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Compute the map of features.

        Args:
            spectrogram: Spectrograms in z-units, shape (batch, ``in_channels``, height, width).

        Returns:
            Features, shape (batch, ``embedding_dim``, height // 32, width // 32): 4 x 15 from the
            128 x 501 values of BirdSet, 8 x 19 from the 256 x 626 values of AudioProtoPNet.

        Raises:
            ValueError: If a spectrogram has fewer than 32 values along a dimension.
        """
        if min(spectrogram.shape[-2:]) < SMALLEST_INPUT:
            raise ValueError(
                f"ConvNeXt needs spectrograms of at least {SMALLEST_INPUT} x {SMALLEST_INPUT} "
                f"values, not {tuple(spectrogram.shape[-2:])}: give longer clips or more bands."
            )
        features: Tensor = self.embeddings(spectrogram)
        for stage in self.encoder.stages:
            features = stage(features)
        return features
