"""Where a batch holds its input and its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Key = str | int


@dataclass(frozen=True)
class BatchKeys:
    """Where a batch holds what an attack needs.

    Args:
        input: Key or position of the attacked tensor; ``None`` finds ``spectrogram`` or
            ``waveform`` in a mapping, and takes position 0 of a sequence.
        target: Key or position of the target; ``None`` finds ``target`` in a mapping, and takes
            position 1 of a sequence.
        domain: What the input is called in tables; ``None`` takes its key. Only a ``waveform`` has
            a signal-to-noise ratio and can be played.
    """

    input: Key | None = None
    target: Key | None = None
    domain: str | None = None

    def domain_of(self, batch: Any) -> str:
        """What the attacked tensor of a batch is called."""
        key = self.input_key(batch)
        return self.domain or (key if isinstance(key, str) else "input")

    def input_key(self, batch: Any) -> Key:
        """Key or position of the attacked tensor.

        Raises:
            ValueError: If it is not there.
        """
        return _found(batch, self.input, ("spectrogram", "waveform"), 0, "input")

    def read(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The attacked tensor, shape (batch, ...), and the target.

        Raises:
            ValueError: If one of them is not there.
        """
        target = _found(batch, self.target, ("target",), 1, "target")
        return batch[self.input_key(batch)], batch[target]

    def replace(self, batch: Any, value: Tensor) -> Any:
        """A copy of the batch with another input; the original stays as it is."""
        key = self.input_key(batch)
        if isinstance(batch, Mapping):
            return {**batch, key: value}
        items = list(batch)
        items[int(key)] = value
        if hasattr(batch, "_fields"):
            return type(batch)(*items)
        return type(batch)(items)


def clip_index(batch: Any) -> Tensor | None:
    """The clips' stable numbers, shape (batch,), where the data module gives them."""
    return batch.get("index") if isinstance(batch, Mapping) else None


def _found(batch: Any, given: Key | None, names: Sequence[str], position: int, what: str) -> Key:
    if isinstance(batch, Mapping):
        for name in names if given is None else (given,):
            if name in batch:
                return name
        wanted = " or ".join(names) if given is None else str(given)
        raise ValueError(
            f"The batch has no {wanted}, only {sorted(map(str, batch))}; say where its {what} is "
            f"with the callback's keys.{what}."
        )
    place = position if given is None else given
    if isinstance(place, int) and isinstance(batch, list | tuple) and place < len(batch):
        return place
    raise ValueError(
        f"No {what} at {place!r} in a batch of type {type(batch).__name__}; say where it is with "
        f"the callback's keys.{what}."
    )
