"""Scores and labels of many clips, read class by class without a copy of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steadyear.lightning_modules.metrics.repeats import first_of_each

_BLOCK = 16
"""Classes that are copied at a time: one line of the processor's cache, and few beside the rest."""

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Clips:
    """Batches of scores and labels; of clips that come again only the first counts.

    Attributes:
        prediction: Scores of each batch, shape (batch, classes).
        target: Labels of each batch, same shape, bool.
        index: Stable numbers of all clips, shape (clips,); ``None`` if each clip comes once.
    """

    prediction: Sequence[Tensor]
    target: Sequence[Tensor]
    index: Tensor | None = None

    def classes(self) -> Iterator[tuple[Floats, Mask]]:
        """Scores and labels of one class after the other, copies of shape (clips,) each."""
        prediction, target = self.batches()
        count = self.prediction[0].shape[1]
        for first in range(0, count, _BLOCK):
            some = slice(first, min(first + _BLOCK, count))
            yield from zip(_columns(prediction, some), _columns(target, some), strict=True)

    def batches(self) -> tuple[list[Floats], list[Mask]]:
        """Scores and labels in pieces of batches without repeats, shape (piece, classes)."""
        return self._pieces(self.prediction), self._pieces(self.target)

    def _pieces(self, batches: Sequence[Tensor]) -> list[NDArray[Any]]:
        arrays = [batch.cpu().numpy() for batch in batches]
        keep = self._keep
        if keep is None:
            return arrays
        parts = np.split(keep, np.cumsum([len(array) for array in arrays])[:-1])
        # Runs of rows are views; a mask would copy, and after a sync one batch holds everything.
        return [
            array[first:end]
            for array, part in zip(arrays, parts, strict=True)
            for first, end in _runs(part)
        ]

    @cached_property
    def _keep(self) -> Mask | None:
        if self.index is None:
            return None
        keep = np.zeros(len(self.index), dtype=bool)
        keep[first_of_each(self.index).cpu().numpy()] = True
        return None if keep.all() else keep


def _runs(kept: Mask) -> list[list[int]]:
    """First and end of each run of true values."""
    edges = np.diff(kept.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges).reshape(-1, 2).tolist()


def _columns(batches: Sequence[NDArray[Any]], some: slice) -> NDArray[Any]:
    """Some classes of all batches, shape (classes, clips)."""
    rows = sum(len(batch) for batch in batches)
    columns = np.empty((some.stop - some.start, rows), dtype=batches[0].dtype)
    np.concatenate([batch[:, some] for batch in batches], out=columns.T)
    return columns


def labels(target: Tensor) -> Tensor:
    """Labels as bool: from 0.5 on a label counts as given.

    Args:
        target: Labels from 0 to 1.
    """
    return target if target.dtype == torch.bool else target >= 0.5
