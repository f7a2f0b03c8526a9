"""The two files of a published checkpoint: where they are and what they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadyear.foundation.extras import optional_imports

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
LISTED = 20


def checkpoint_folder(source: str, revision: str | None = None) -> Path:
    """The folder with the two files of a checkpoint; downloads them if they are on the hub.

    Only ``config.json`` and ``model.safetensors`` are fetched: none of the repository's code.

    Args:
        source: A folder, or a repository of the Hugging Face hub such as ``owner/name``.
        revision: Branch, tag or commit of the repository; ``None`` takes the newest.

    Raises:
        FileNotFoundError: If it is no folder and cannot be downloaded, or a file is missing.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        with optional_imports("A checkpoint on the hub"):
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import HfHubHTTPError, HFValidationError
        try:
            files = [CONFIG, WEIGHTS]
            folder = Path(snapshot_download(source, revision=revision, allow_patterns=files))
        except (HFValidationError, HfHubHTTPError, OSError) as error:
            raise FileNotFoundError(
                f"{source} is not a folder, and not a repository that can be downloaded: {error}\n"
                f"Give a folder with {CONFIG} and {WEIGHTS}, or the name owner/name of a "
                "repository on the hub, and check the connection."
            ) from error
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} has no {' and no '.join(missing)}.")
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a checkpoint.

    Args:
        folder: What :func:`checkpoint_folder` gave.

    Raises:
        ValueError: If the file is not a JSON object.
    """
    try:
        return dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is not a JSON object: {error}") from error


def label_names(config: Mapping[str, Any]) -> list[str]:
    """Names of the classes in the order of the logits; empty if the configuration has none.

    Args:
        config: What :func:`read_config` gave.

    Raises:
        ValueError: If the numbers of the classes have gaps.
    """
    labels = {int(key): str(name) for key, name in (config.get("id2label") or {}).items()}
    # Transformers writes LABEL_0, LABEL_1 ... where nobody gave names.
    if all(name == f"LABEL_{number}" for number, name in labels.items()):
        return []
    if sorted(labels) != list(range(len(labels))):
        raise ValueError(f"id2label in {CONFIG} must number its classes from 0 without gaps.")
    return [labels[number] for number in range(len(labels))]


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint in fp32, without the prefix that compilation leaves in names.

    Args:
        folder: What :func:`checkpoint_folder` gave.

    Raises:
        ValueError: If the file is damaged, or two tensors have the same name without the prefix.
    """
    with optional_imports("A published checkpoint"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    try:
        stored = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged ({error}): download it again.") from error
    tensors = {name.replace("_orig_mod.", ""): value.float() for name, value in stored.items()}
    if len(tensors) < len(stored):
        raise ValueError(f"{folder / WEIGHTS} holds tensors with and without _orig_mod.")
    return tensors


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> None:
    """Refuse tensors that are not exactly the expected ones.

    Args:
        found: Tensors by name.
        expected: Shapes by name.

    Raises:
        ValueError: If a tensor is missing, too many or of another shape; the message lists them.
    """
    wrong = [
        f"{name} is {tuple(found[name].shape)}, not {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and found[name].shape != shape
    ]
    problems = {
        "missing": [name for name in expected if name not in found],
        "too many": [name for name in found if name not in expected],
        "of another shape": wrong,
    }
    lines = []
    for what, items in problems.items():
        if items:
            rest = f"\n    ... and {len(items) - LISTED} more" if len(items) > LISTED else ""
            listing = "".join(f"\n    {item}" for item in items[:LISTED])
            lines.append(f"  {len(items)} {what}:{listing}{rest}")
    if lines:
        raise ValueError(
            f"The checkpoint does not fit the model that its {CONFIG} describes. Tensors that "
            "are\n" + "\n".join(lines)
        )
