"""Adversarial weight perturbation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

_TINY = 1e-20


class AdversarialWeightPerturbation:
    """Takes the gradient of training at perturbed weights (Wu et al., NeurIPS 2020).

    Every chosen tensor w moves by gamma * |w| * g / |g| along the gradient g of the whole training
    loss, adversarial part included; backward runs there, and the weights come back, exactly, before
    the optimiser's step. This is the published proxy formulation without its proxy: one plain SGD
    step of a copy, rescaled to gamma * |w|, points along -g whatever its learning rate.

    The published rule perturbs tensors with at least two dimensions and ``weight`` in their name. It
    leaves out the prototypes of an AudioProtoPNet, which are called ``prototype_vectors``: add that
    pattern to include them.

    Args:
        gamma: Size of the step, relative to the norm of each tensor.
        warmup_epochs: Epochs without perturbation, from the first.
        include: Regular expressions; a tensor of at least two dimensions is perturbed when one of
            them is found in its name.

    Raises:
        ValueError: If ``gamma`` is not positive.
    """

    def __init__(
        self, gamma: float = 0.005, warmup_epochs: int = 0, include: Sequence[str] = ("weight",)
    ) -> None:
        if gamma <= 0:
            raise ValueError(f"gamma is positive, not {gamma:g}.")
        self.gamma = gamma
        self.warmup_epochs = warmup_epochs
        self.include = list(include)
        self._originals: list[tuple[nn.Parameter, Tensor]] = []

    def chosen(self, module: nn.Module) -> list[nn.Parameter]:
        """The tensors to perturb.

        Raises:
            ValueError: If there are none.
        """
        found = [
            parameter
            for name, parameter in module.named_parameters()
            if parameter.ndim >= 2
            and parameter.requires_grad
            and any(re.search(pattern, name) for pattern in self.include)
        ]
        if not found:
            raise ValueError(
                f"No trainable tensor of {type(module).__name__} with two dimensions has a name with "
                f"{' or '.join(self.include)}; change include."
            )
        return found

    def perturb(self, module: nn.Module, loss: Tensor) -> None:
        """Move the weights along the gradient of ``loss``, until ``restore``.

        Raises:
            FloatingPointError: If a gradient is not finite.
        """
        self.restore()
        parameters = self.chosen(module)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                g = torch.zeros_like(parameter) if gradient is None else gradient
                _sum_over_processes(g)
                length = g.norm()
                if not bool(torch.isfinite(length)):
                    raise FloatingPointError(
                        "The gradient for the weight perturbation is not finite; train in fp32 or "
                        "bf16, and check the loss."
                    )
                # A copy, not a subtraction: rounding would let the weights drift, and apart.
                self._originals.append((parameter, parameter.detach().clone()))
                parameter.add_(g * (self.gamma * parameter.norm() / (length + _TINY)))

    def restore(self) -> None:
        """Put the weights back exactly; nothing happens if they are not perturbed."""
        with torch.no_grad():
            for parameter, original in self._originals:
                parameter.copy_(original)
        self._originals = []


def _sum_over_processes(gradient: Tensor) -> None:
    # All processes perturb alike; the length does not matter, so a sum does for the mean.
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(gradient)


@contextmanager
def dry_run(module: Any) -> Iterator[None]:
    """Run a training step without side effects: nothing is logged, no BatchNorm statistic moves."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    silenced = {name: vars(module).get(name) for name in ("log", "log_dict")}
    for name in silenced:
        object.__setattr__(module, name, lambda *args, **kwargs: None)
    try:
        yield
    finally:
        for name, own in silenced.items():
            if own is None:
                object.__delattr__(module, name)
            else:
                object.__setattr__(module, name, own)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
