"""Attacks on more clips than fit into memory at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.result import AttackResult
from steadyear.attacks.core.views import Model

_LARGEST = 512  # clips; more at once is not faster
_SHARE = 0.5  # of the memory that is free
_PEAK = 1.5  # memory at its peak, in what autograd keeps
_UNKNOWN = 2 << 30  # bytes that a system without an answer is trusted to have


def attack_in_batches(
    attack: Attack,
    model: Model,
    x: Tensor,
    target: Tensor | None = None,
    *,
    index: Tensor | None = None,
    batch_size: int | None = None,
) -> AttackResult:
    """Attack any number of clips, batch by batch; the batch size follows from the memory.

    The number of clips in a batch is what half of the free memory holds, after the first clip has
    been measured, and is halved as often as the memory turns out to be too small. The result of a
    clip does not depend on it but for rounding.

    Args:
        attack: The attack.
        model: Any callable, as for attacks.
        x: Clean input, shape (clips, ...).
        target: What the objective is measured against; ``None`` takes the model's own clean
            prediction.
        index: Stable numbers of the clips, shape (clips,); ``None`` numbers them from 0.
        batch_size: Number of clips in a batch; ``None`` finds it.

    Raises:
        ValueError: If there is no clip, a batch of none, or the objective belongs to a batch as a whole.
        torch.OutOfMemoryError: If not even one clip fits.
    """
    if len(x) == 0:
        raise ValueError("There is no clip to attack.")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"A batch has at least one clip, not {batch_size}.")
    if attack.objective.couples_clips:
        raise ValueError(
            f"{type(attack.objective).__name__} belongs to a whole batch, which must not be cut: "
            "call the attack itself."
        )
    index = torch.arange(len(x)) if index is None else index
    size = fitting_batch_size(attack, model, x) if batch_size is None else batch_size
    results: list[AttackResult] = []
    done = 0
    while done < len(x):
        some = slice(done, done + size)
        try:
            part = attack(
                model, x[some], None if target is None else target[some], index=index[some]
            )
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            warnings.warn(f"Out of memory: going on with {size} clips at once.", stacklevel=2)
            continue
        results.append(part)
        done += len(x[some])
    return _joined(results)


def fitting_batch_size(attack: Attack, model: Model, x: Tensor) -> int:
    """How many clips of an attack half of the free memory holds, at least 1.

    Args:
        attack: The attack.
        model: Any callable, as for attacks.
        x: Clips, shape (clips, ...); the first one is measured.
    """
    needed = _PEAK * bytes_per_clip(attack, model, x) * attack.copies
    return min(max(int(_SHARE * _free_bytes(x.device) / needed), 1), _LARGEST)


def bytes_per_clip(attack: Attack, model: Model, x: Tensor) -> int:
    """What autograd keeps of one clip until its gradient is known, in bytes.

    Args:
        attack: The attack; its view says where the gradient ends.
        model: Any callable, as for attacks.
        x: Clips, shape (clips, ...); the first one is measured.
    """
    kept: dict[int, int] = {}
    own = {_place(t) for t in _state(model)}

    def pack(tensor: Tensor) -> Tensor:
        if _place(tensor) not in own:
            kept[_place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with attack_mode(model, x.device):
        first = x[:1].detach().clone()
        with attack.view.bind(model, first) as (forward, start):
            leaf = start.detach().clone().requires_grad_()
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                read = attack.view.read(forward(leaf + 0))
    return sum(kept.values()) + 4 * (leaf.nbytes + read.nbytes)


def _state(model: Model) -> Iterable[Tensor]:
    return [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + unused)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _joined(results: list[AttackResult]) -> AttackResult:
    return AttackResult(
        **{f.name: _together([getattr(r, f.name) for r in results]) for f in fields(AttackResult)}
    )


def _together(parts: list[Any]) -> Any:
    """Outputs of batches as the output of one: tensors, and tuples and mappings of them."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if isinstance(first, Mapping):
        return {key: _together([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple):
        values = [_together(list(column)) for column in zip(*parts, strict=True)]
        return type(first)(*values) if hasattr(first, "_fields") else tuple(values)
    # None, or what the model alone understands; one batch stands for all.
    return first
