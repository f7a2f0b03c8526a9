"""The state in which a model is attacked, and its exact restoration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def attack_mode(model: Callable[..., Any], device: torch.device) -> Iterator[None]:
    """Evaluate ``model`` with frozen parameters, gradients on, and full precision.

    BatchNorm statistics do not drift, dropout adds no noise, no parameter collects a gradient,
    half-precision autocast is off (small input gradients underflow), and inference mode is left.
    Everything is put back afterwards, whatever happens. Callables that are no ``nn.Module`` are
    taken as they are.

    Args:
        model: The model under attack.
        device: Where its inputs live.
    """
    module = model if isinstance(model, nn.Module) else None
    modes = [(m, m.training) for m in module.modules()] if module else []
    flags = [(p, p.requires_grad) for p in module.parameters()] if module else []
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if any(isinstance(m, nn.RNNBase) for m, _ in modes):
            # cuDNN cannot differentiate a recurrent layer in eval mode.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        try:
            for m, _ in modes:
                m.training = False
            for parameter, _ in flags:
                parameter.requires_grad_(False)
            yield
        finally:
            for m, training in modes:
                m.training = training
            for parameter, requires_grad in flags:
                parameter.requires_grad_(requires_grad)
