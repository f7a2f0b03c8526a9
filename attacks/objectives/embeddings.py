"""Objectives on embeddings and prototypes: how far they turn away, or towards what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.objectives.base import Objective


class EmbeddingDissimilarity(Objective):
    """Spatial-wise cosine dissimilarity to the clean embedding (AT-E).

    One minus the cosine between attacked and clean channels, averaged over the positions of a
    feature map (batch, channels, ...), or just taken for an embedding (batch, channels). It asks for
    no label. Its gradient vanishes at the clean clip, so an attack needs a random start.

    Args:
        tolerance: The attack succeeds when the dissimilarity exceeds this; from 0 to 2.
    """

    against_clean: ClassVar[bool] = True

    def __init__(self, tolerance: float = 0.1) -> None:
        self.tolerance = tolerance

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse what has no channels."""
        if prediction.shape != target.shape or prediction.ndim < 2:
            raise ValueError(
                "EmbeddingDissimilarity compares embeddings (batch, channels, ...) of one shape, not "
                f"{tuple(prediction.shape)} and {tuple(target.shape)}: name the submodule that makes "
                "them in View(read_at=...)."
            )

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Dissimilarity per clip."""
        cosine = F.cosine_similarity(prediction, target, dim=1)
        return 1 - cosine.reshape(len(cosine), -1).mean(1)

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Dissimilarity minus the tolerance."""
        return self(prediction, target) - self.tolerance

    def stationary_at(self, prediction: Tensor, target: Tensor) -> bool:
        """The cosine has its maximum at the clean embedding."""
        return bool(torch.equal(prediction, target))


class PrototypeActivation(Objective):
    """Targeted attack on prototypes: activate some of them, or deactivate them.

    Reads activations (batch, prototypes), as ``View(field="prototype_activations")`` gives them,
    and maximises the mean activation of the chosen ones, or its negative. It asks for no label.

    Args:
        prototypes: Numbers of the prototypes.
        hide: Lower their activation instead of raising it.
        tolerance: The attack succeeds when their mean activation has changed by more than this.

    Raises:
        ValueError: If no prototype is named.
    """

    against_clean: ClassVar[bool] = True

    def __init__(
        self, prototypes: Sequence[int], hide: bool = False, tolerance: float = 0.1
    ) -> None:
        if not prototypes or min(prototypes) < 0:
            raise ValueError("PrototypeActivation needs numbers of prototypes, from 0.")
        self.prototypes = list(prototypes)
        self.hide = hide
        self.tolerance = tolerance

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse what has no such prototypes."""
        if prediction.ndim != 2 or max(self.prototypes) >= prediction.shape[1]:
            raise ValueError(
                f"PrototypeActivation reads activations (batch, prototypes) with prototype "
                f"{max(self.prototypes)}, not {tuple(prediction.shape)}; see View(field=...)."
            )

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean activation of the chosen prototypes, or its negative, per clip."""
        mean = prediction[:, self.prototypes].mean(1)
        return -mean if self.hide else mean

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Change of the mean activation minus the tolerance."""
        return self(prediction, target) - self(clean, target) - self.tolerance
