"""Transforms of audiomentations with parameters that are given instead of drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from steadyear.datamodules.transforms.corruptions.base import Samples


def apply_with(transform: Any, samples: Samples, sample_rate: int, **parameters: float) -> Samples:
    """Apply a transform without drawing: it would use the global generators.

    Args:
        transform: A transform of audiomentations that nobody else uses.
        samples: One clip, shape (time,).
        sample_rate: Its sampling rate in Hz.
        **parameters: What the transform would draw, by its names.
    """
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    return np.asarray(transform(samples, sample_rate), np.float32)
