"""Clips that distributed samplers repeat."""

from __future__ import annotations

import torch
from torch import Tensor


def first_of_each(index: Tensor) -> Tensor:
    """Position of the first clip of every number, in the order of the numbers.

    Args:
        index: Stable numbers of the clips, shape (clips,).
    """
    order = torch.argsort(index, stable=True)
    _, counts = torch.unique_consecutive(index[order], return_counts=True)
    return order[counts.cumsum(0) - counts]
