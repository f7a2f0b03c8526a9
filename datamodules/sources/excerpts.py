"""Cutting excerpts of one length out of clips of many."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from steadyear.foundation.random_streams import numpy_generator, torch_generator

Array = npt.NDArray[Any]


def random_start(total: int, length: int, seed: int, epoch: int, clip: int) -> int:
    """Draw where an excerpt starts; the same for the same seed, epoch and clip.

    Args:
        total: Number of frames of the clip.
        length: Number of frames of the excerpt.
        seed: Seed of the run of excerpts.
        epoch: Training epoch.
        clip: Number of the clip.
    """
    if total <= length:
        return 0
    return int(numpy_generator(seed, epoch, clip).integers(total - length + 1))


def fixed_start(total: int, length: int, seed: int, clip: int) -> int:
    """Draw where the one excerpt of a clip starts, as if one torch generator served all clips.

    That is how the published MER study (Hoedt, Flexer, Widmer, SMC 2025) chose its excerpts: one
    draw for every clip, in order, from torch's seed 42. The start depends on no other clip's
    length, so that it is the same when other clips are missing.

    Args:
        total: Number of frames of the clip.
        length: Number of frames of the excerpt.
        seed: Seed of the generator.
        clip: Number of the clip, from 0.
    """
    if total <= length:
        return 0
    generator = torch_generator(seed)
    # Every draw takes one step of the generator, whatever its range.
    torch.randint(2, (clip,), generator=generator)
    return int(torch.randint(total - length + 1, (1,), generator=generator))


def central_start(total: int, length: int) -> int:
    """Return where the central excerpt starts.

    Args:
        total: Number of frames of the clip.
        length: Number of frames of the excerpt.
    """
    return max(0, (total - length) // 2)


def cut(values: Array, start: int, length: int, dim: int = -1) -> Array:
    """Copy an excerpt.

    A clip that is shorter than the excerpt is repeated from its start. A longer one that ends
    within the excerpt (a waveform whose last frame was padded) is followed by zeros.

    Args:
        values: A spectrogram or waveform, time along ``dim``.
        start: First frame or sample.
        length: Number of frames or samples.
        dim: The dimension of time.
    """
    total = values.shape[dim]
    if total < length:
        repeated: Array = np.take(values, np.arange(length) % total, axis=dim)
        return repeated
    window = [slice(None)] * values.ndim
    window[dim] = slice(start, start + length)
    excerpt = np.array(values[tuple(window)])
    missing = length - excerpt.shape[dim]
    if missing:
        padding = [(0, 0)] * values.ndim
        padding[dim] = (0, missing)
        excerpt = np.pad(excerpt, padding)
    return excerpt
