"""Wrong concept labels, on purpose: how much does a bottleneck owe to what its labels mean?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steadyear.foundation.random_streams import numpy_generator

# Each purpose draws from a stream of its own: clips that are shuffled keep their noise.
_CHOICE, _ORDER, _NOISE = range(3)


@dataclass(frozen=True)
class ConceptNoise:
    """Shuffles concept labels among training clips, and adds noise to them.

    What is drawn for a clip depends on the seed and the clip's name alone, not on batches, workers
    or epochs. The clips that a small ``shuffle`` chooses are among those that a larger one chooses.
    A shuffled clip gets all concepts of one other clip, so every value and every correlation between
    concepts stays as it was; only what they say about the clip is lost. Noise comes on top.

    Args:
        shuffle: Share of the training clips whose concept vectors change places, 0 to 1.
        sigma: Standard deviation of Gaussian noise, in standard deviations of each concept over the
            training clips.
        seed: Seed of both; ``None`` takes that of the data module, which by itself is that of the
            run: every run then has errors of its own.

    Raises:
        ValueError: If a setting is out of its range.
    """

    shuffle: float = 0.0
    sigma: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if not (0 <= self.shuffle <= 1 and 0 <= self.sigma < float("inf")):
            raise ValueError(
                "concept_noise needs shuffle between 0 and 1 and sigma >= 0, not "
                f"{self.shuffle} and {self.sigma}."
            )
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"The seed of concept_noise must be >= 0, not {self.seed}.")

    def apply(
        self, concepts: Tensor, clips: Sequence[int], names: Sequence[str], seed: int
    ) -> Tensor:
        """Alter the concepts of some clips.

        Args:
            concepts: True concepts of all clips, shape (clips, num_concepts).
            clips: Positions of the training clips.
            names: Name of every clip.
            seed: Seed where this noise has none of its own.

        Returns:
            A copy; clips that are not for training keep their labels.
        """
        key = seed if self.seed is None else self.seed
        rngs = {clip: _rngs(key, names[clip]) for clip in clips}
        altered = concepts.clone()
        chosen = sorted(clips, key=lambda clip: rngs[clip][_CHOICE].random())
        chosen = chosen[: round(self.shuffle * len(clips))]
        chosen.sort(key=lambda clip: rngs[clip][_ORDER].random())
        # One ring: with two clips or more, none keeps its own labels.
        altered[chosen] = concepts[chosen[1:] + chosen[:1]]
        scale = concepts[list(clips)].std(0, correction=0)
        for clip in clips if self.sigma else ():
            noise = rngs[clip][_NOISE].standard_normal(concepts.shape[1])
            altered[clip] += self.sigma * scale * torch.from_numpy(noise).to(scale)
        return altered


def _rngs(seed: int, name: str) -> list[np.random.Generator]:
    purposes = (_CHOICE, _ORDER, _NOISE)
    return [numpy_generator(seed, purpose, *name.encode()) for purpose in purposes]
