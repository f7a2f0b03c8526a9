"""What the tests of objectives share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def values() -> tuple[Tensor, Tensor]:
    """Predictions and targets of nine clips."""
    torch.manual_seed(0)
    return torch.randn(9, 4, dtype=torch.float64), torch.randn(9, 4, dtype=torch.float64)
