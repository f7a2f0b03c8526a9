"""Spectrograms of the waveforms that a model is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from steadyear.attacks.domains.base import Domain
from steadyear.attacks.domains.waveform import waveforms


class SpectrogramDomain(Domain):
    """The standardised spectrogram behind a model's front end, for models that are given waveforms.

    The model must take spectrograms, too, and give the same prediction for them. What is found is
    a spectrogram in z-units and no sound: ``steadyear.attacks.evaluation.realisability`` says how much of it a sound
    can have.

    Args:
        frontend: Differentiable map from waveforms to the spectrograms that the model takes; ``None``
            takes the model's attribute ``frontend``.
    """

    name = "spectrogram"

    def __init__(self, frontend: nn.Module | None = None) -> None:
        self.frontend = frontend

    def for_model(self, model: Callable[[Tensor], Any]) -> SpectrogramDomain:
        """This domain, or the one with the model's own front end if none was given.

        Args:
            model: The model under attack.

        Raises:
            TypeError: If no front end was given and the model has none.
        """
        if self.frontend is not None:
            return self
        frontend = getattr(model, "frontend", None)
        if not isinstance(frontend, nn.Module):
            raise TypeError(
                f"{type(model).__name__} has no front end in an attribute 'frontend': give "
                "SpectrogramDomain(frontend=...)."
            )
        return SpectrogramDomain(frontend)

    def start(self, x: Tensor) -> Tensor:
        """Spectrograms of the clean clips in z-units, shape (batch, ...).

        Args:
            x: Waveforms, shape (batch, time).

        Raises:
            ValueError: If they are no waveforms, or no front end is known.
        """
        if self.frontend is None:
            raise ValueError("SpectrogramDomain has no front end: ask its for_model(model) first.")
        spectrogram: Tensor = self.frontend.to(x.device)(waveforms(x, self))
        return spectrogram

    def render(self, point: Tensor, x: Tensor) -> Tensor:
        """The point itself: the model takes spectrograms.

        Args:
            point: Spectrograms in z-units, shape (batch, ...).
            x: Clean waveforms, shape (batch, time).
        """
        return point
