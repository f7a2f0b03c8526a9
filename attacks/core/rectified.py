"""A convolution and its ReLU in one, which remembers little for the gradient of its input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input


class RectifiedConv2d(nn.Conv2d):
    """``relu(conv(x))`` with the parameters of a convolution, for gradients in ``x`` alone.

    Autograd keeps the input of a convolution, for its weights, and the output of a ReLU. The gradient in
    the input needs neither: a bool for every output tells where it passes, a quarter of fp32.
    """

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> RectifiedConv2d:
        """Share a convolution's parameters.

        Args:
            convolution: Padded with zeros by numbers, not by name.
        """
        rectified = cls.__new__(cls)
        vars(rectified).update(vars(convolution))
        return rectified

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and rectify."""
        found: Tensor = _Rectified.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        return found


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
        found = F.conv2d(x, weight, bias, *settings).relu_()
        ctx.save_for_backward(weight, found > 0)
        ctx.shape, ctx.dtype, ctx.settings = x.shape, x.dtype, settings
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, passes = ctx.saved_tensors
        # Under autocast the output has another precision than weights and input.
        weight = weight.to(gradient.dtype)
        # Chosen, not multiplied, for what is blocked may be infinite; by ReLU's own operation, which
        # is several times as fast as filling by a mask.
        chosen = passes.to(gradient.dtype)
        select = torch.ops.aten.threshold_backward.grad_input
        gradient = select(gradient, chosen, 0, grad_input=chosen)  # in the same memory
        inner = _input_gradient(ctx.shape, weight, gradient, *ctx.settings)
        return (inner.to(ctx.dtype), *(None for _ in range(6)))


def _input_gradient(
    shape: torch.Size, weight: Tensor, gradient: Tensor, stride: Any, padding: Any, *rest: Any
) -> Tensor:
    if shape[1] > 1 or gradient.device.type != "cpu":
        found: Tensor = conv2d_input(shape, weight, gradient, stride, padding, *rest)  # type: ignore[no-untyped-call]
        return found
    # A spectrogram has one channel, for which convolutions on a CPU are slow: three times as long as
    # a matrix product and the sum of what overlaps.
    patches = gradient.permute(0, 2, 3, 1).flatten(1, 2) @ weight.flatten(1)
    dilation, _ = rest
    return F.fold(patches.mT, shape[2:], weight.shape[2:], dilation, padding, stride)
