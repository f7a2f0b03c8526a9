"""Callbacks of which a trainer has room for one."""

from __future__ import annotations

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer


def check_only_one(trainer: Trainer, kind: type[Callback], setting: str) -> None:
    """Refuse a second callback of a kind, which would overwrite files and metrics of the first.

    Args:
        trainer: Knows its callbacks.
        kind: Class of the callback.
        setting: Name of its setting that holds what is evaluated.

    Raises:
        MisconfigurationException: If there are several.
    """
    # Lightning does not type this attribute.
    present: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = sum(isinstance(callback, kind) for callback in present)
    if found > 1:
        name = kind.__name__
        raise MisconfigurationException(
            f"There are {found} {name} callbacks, which would overwrite each other's files and metrics: "
            f"put all {setting} into one callback's `{setting}`, and switch the others off with null."
        )
