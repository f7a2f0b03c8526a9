"""The fast stand-in for a model that attacks take their gradients from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from steadyear.attacks.core.rectified import RectifiedConv2d
from steadyear.attacks.core.views import Model

Precision = Literal["fp32", "bf16"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_TOLERANCE = 1e-4
# What a model may raise that does not bear one clip alone, or another module in a child's place.
_FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)


@contextmanager
def crafting_model(
    model: Model,
    forward: Model,
    x: Tensor,
    clean: Tensor,
    read: Callable[[Any], Tensor],
    precision: Precision = "fp32",
) -> Iterator[Model]:
    """What gradients are taken from: folded where that is possible, in the asked precision.

    Folding is for models that are attacked at their input and read at their prediction. The folded
    copy must predict the first clip as the model does; if not, a warning says so and the model
    itself is taken.

    Args:
        model: The model under attack, in eval mode.
        forward: The model as its view binds it; another object than ``model`` is not folded.
        x: Clean input of ``forward``, shape (batch, ...).
        clean: What the view reads of ``forward(x)``.
        read: The view's reading.
        precision: ``"fp32"`` is the model's own precision. ``"bf16"`` computes in bfloat16 behind
            the first convolution or linear layer, which itself keeps its precision: small
            perturbations are below the resolution of bfloat16.

    Yields:
        A function with the outputs of ``forward``, up to rounding.

    Raises:
        TypeError: If bfloat16 is asked for and the model is no ``nn.Module``.
    """

    @cache
    def chosen() -> Model:
        if isinstance(model, nn.Module) and forward is model:
            return _checked(fold_batch_norm(model), model, x, clean, read)
        return forward

    if precision == "fp32":
        # Folded when the first gradient is asked for: some attacks never do.
        yield lambda value: chosen()(value)
        return
    folded = chosen()
    network = folded if isinstance(folded, nn.Module) else model
    if not isinstance(network, nn.Module):
        raise TypeError("precision='bf16' needs a model that is an nn.Module; use 'fp32'.")
    with _bfloat16(network, folded, x.device.type) as half:
        yield half


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of ``model`` with batch normalisation folded into the convolutions before it.

    Only neighbours in an ``nn.Sequential`` are folded, for only there the order is certain. The
    folded convolutions have weights in the channels-last layout, which their outputs take over, and a
    convolution before a ReLU remembers no more than the gradient of its input needs. All other
    modules, parameters and buffers are the model's own; the copy is meant for one attack.

    Args:
        model: A model in eval mode.

    Returns:
        The copy, or ``model`` itself where there is nothing to fold.
    """
    return _folded(model, {})


def _folded(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    # A forward of the instance's own, as compiled modules have, knows nothing of the copy.
    if isinstance(module, torch.jit.ScriptModule) or "forward" in vars(module):
        return module
    if module not in done:
        children = {
            name: None if child is None else _folded(child, done)
            for name, child in module._modules.items()
        }
        if type(module).forward is nn.Sequential.forward:
            _fold_neighbours(children)
        same = all(children[name] is child for name, child in module._modules.items())
        done[module] = module if same else _with_children(module, children)
    return done[module]


def _fold_neighbours(layers: dict[str, nn.Module | None]) -> None:
    left = list(layers)
    for fuse in (_fused, _rectified):
        for before, after in pairwise(list(left)):
            fused = fuse(layers[before], layers[after])
            if fused is not None:
                layers[before], layers[after] = fused, nn.Identity()
                left.remove(after)


def _fused(convolution: nn.Module | None, norm: nn.Module | None) -> nn.Module | None:
    if not isinstance(convolution, _CONVOLUTIONS) or not isinstance(norm, _NORMS):
        return None
    # Exact types: a subclass may compute something else.
    exact = type(convolution) in _CONVOLUTIONS and type(norm) in _NORMS
    # In half precision the folded weights are rounded too coarsely.
    precise = convolution.weight.dtype in (torch.float32, torch.float64)
    hooked = _hooked(convolution) or _hooked(norm)
    # A model may put itself into train mode within its forward pass.
    training = convolution.training or norm.training
    if not exact or not precise or hooked or training or norm.running_mean is None:
        return None
    fused: nn.Module = fuse_conv_bn_eval(convolution, norm)
    if isinstance(fused, nn.Conv2d):
        fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fused


def _rectified(convolution: nn.Module | None, relu: nn.Module | None) -> nn.Module | None:
    if type(convolution) is not nn.Conv2d or type(relu) is not nn.ReLU:
        return None
    plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    hooked = _hooked(convolution) or _hooked(relu)
    return RectifiedConv2d.of(convolution) if plain and not hooked else None


def _hooked(module: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in hooks)


def _with_children(module: nn.Module, children: dict[str, nn.Module | None]) -> nn.Module:
    # Not deepcopy: a LightningModule would bring its trainer, and that the data.
    copy: nn.Module = module.__new__(type(module))
    vars(copy).update(vars(module))
    copy._modules = children
    return copy


def _checked(
    folded: nn.Module, model: nn.Module, x: Tensor, clean: Tensor, read: Callable[[Any], Tensor]
) -> nn.Module:
    if folded is model:
        return model
    try:
        with torch.no_grad():
            found = read(folded(x[:1].clone()))
        torch.testing.assert_close(
            found, clean[:1], rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
        )
    except _FAILURES as error:
        warnings.warn(
            "Batch normalisation is not folded into the convolutions, the attack is slower: the "
            f"folded {type(model).__name__} does not predict what it should.\n{error}",
            stacklevel=2,
        )
        return model
    return folded


@contextmanager
def _bfloat16(network: nn.Module, forward: Model, device: str) -> Iterator[Model]:
    inside = False

    def start(*_: Any) -> None:
        if inside:
            torch.set_autocast_enabled(device, True)

    def run(x: Tensor) -> Any:
        nonlocal inside
        # The hooks sit on layers that the model shares, and its own passes are exact.
        inside = True
        try:
            with torch.autocast(device, torch.bfloat16):
                torch.set_autocast_enabled(device, False)
                return forward(x)
        finally:
            inside = False

    # On all of them, because the order in which they are called is unknown: the first one counts.
    layers = [m for m in network.modules() if isinstance(m, (*_CONVOLUTIONS, nn.Linear))]
    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_hook(start))
        yield run
