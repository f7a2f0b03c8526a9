"""Where clips come from: files on disk, or a generator of sounds."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class AudioProblemError(ValueError):
    """A clip that cannot be used.

    Args:
        name: The file or clip.
        reason: What is wrong with it, in a few words.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class AudioSource(ABC):
    """A numbered collection of clips that can be loaded one by one, in any order."""

    clip_ids: list[str]
    """Name of each clip, unique and stable."""

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clip_ids)

    @abstractmethod
    def identity(self, clip: int) -> str:
        """Return a text that changes whenever the sound of a clip would change; a cache key.

        Args:
            clip: Position in ``clip_ids``.

        Raises:
            AudioProblemError: If the clip does not exist.
        """

    @abstractmethod
    def load(self, clip: int, sample_rate: int) -> Tensor:
        """Return the whole clip.

        Args:
            clip: Position in ``clip_ids``.
            sample_rate: Sampling rate in Hz of the result.

        Returns:
            Mono samples, full scale 1, shape (time,), float32.

        Raises:
            AudioProblemError: If the clip cannot be used.
        """
