"""Transforms of audiomentations with parameters that are given instead of drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Samples
from steadyear.foundation.extras import optional_imports


def apply_transform(name: str, samples: Samples, sample_rate: int, **parameters: float) -> Samples:
    """Apply a transform without drawing: it would use the global generators.

    Args:
        name: Name of the transform in audiomentations.
        samples: One clip, shape (time,).
        sample_rate: Its sampling rate in Hz.
        **parameters: What the transform would draw, by its names.
    """
    with optional_imports(f"The transform {name}"):
        import audiomentations
    transform: Any = getattr(audiomentations, name)(p=1.0)
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    return np.asarray(transform(samples, sample_rate), np.float32)
