"""What every domain promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

Bounds = tuple[float, float]


class Domain(ABC):
    """A space in which clips are perturbed, and the way from there to the model's input.

    Attacks refuse a domain that does not give the clean prediction back at budget 0.
    """

    name: ClassVar[str]
    """Name of the domain in tables."""

    bounds: Bounds | None = None
    """Smallest and largest allowed value of a point, or ``None``."""

    def for_model(self, model: Callable[[Tensor], Any]) -> Domain:
        """The domain with all that it needs to know of a model; attacks ask for it before they start.

        Args:
            model: The model under attack.

        Raises:
            TypeError: If the model lacks what the domain needs.
            ValueError: If the domain and the model do not fit.
        """
        return self

    @abstractmethod
    def start(self, x: Tensor) -> Tensor:
        """The point of each clean clip, shape (batch, ...).

        Args:
            x: Clean input of the model, shape (batch, ...).
        """

    @abstractmethod
    def render(self, point: Tensor, x: Tensor) -> Tensor:
        """The model's input at each clip's point, differentiable in ``point`` where that is possible.

        Args:
            point: Points, shape (batch, ...).
            x: Clean input of the model, shape (batch, ...).
        """
