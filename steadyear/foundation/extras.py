"""Optional dependencies, and the extras of the package that bring them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
    "wandb": "wandb",
    "transformers": "hub",
    "safetensors": "hub",
    "huggingface_hub": "hub",
    "httpx2": "hub",
    "audiomentations": "augmentation",
    "matplotlib": "plots",
    "jinja2": "plots",
}
"""The extra that brings each optional module."""


class MissingExtraError(ModuleNotFoundError):
    """An optional dependency is not installed."""


@contextmanager
def optional_imports(purpose: str) -> Iterator[None]:
    """Imports in this block may fail; the user then reads what to install.

    Args:
        purpose: What the modules are needed for, the subject of the message.

    Raises:
        MissingExtraError: If an optional dependency is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if module not in EXTRAS or isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(
            f"{purpose} needs {module}, which is not installed: "
            f'pip install "steadyear[{EXTRAS[module]}]".',
            name=module,
        ) from error
