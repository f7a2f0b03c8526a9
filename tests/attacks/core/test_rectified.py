"""A convolution that rectifies, against the two layers that it stands for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks.core.crafting import fold_batch_norm
from steadyear.attacks.core.rectified import RectifiedConv2d

CONVOLUTIONS = {
    "plain": lambda: nn.Conv2d(3, 5, 3),
    "strided": lambda: nn.Conv2d(3, 5, 5, stride=2, padding=2),
    "dilated": lambda: nn.Conv2d(3, 5, 3, dilation=2, padding=(1, 2)),
    "of one channel": lambda: nn.Conv2d(1, 5, (5, 3), stride=2, padding=(2, 1)),
    "of one channel, dilated": lambda: nn.Conv2d(1, 3, 3, dilation=(1, 2), padding=1, bias=False),
    "grouped": lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False),
}


def kept(forward: nn.Module, x: Tensor) -> int:
    """Bytes that autograd keeps."""
    found: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in forward.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(x)
    return sum(found.values())


@pytest.mark.parametrize("make", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_values_and_gradients_are_those_of_two_layers(make) -> None:
    torch.manual_seed(0)
    convolution = make().double().requires_grad_(False)
    both = nn.Sequential(convolution, nn.ReLU())
    one = RectifiedConv2d.of(convolution)
    x = torch.randn(2, convolution.in_channels, 11, 13, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(one(x), both(x), rtol=0, atol=0)
    way = torch.randn_like(one(x))
    (ours,) = torch.autograd.grad((one(x) * way).sum(), x)
    (theirs,) = torch.autograd.grad((both(x) * way).sum(), x)
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradcheck(one, x)


def test_what_is_blocked_may_be_infinite_behind() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 4, 3).requires_grad_(False)
    x = torch.randn(2, 1, 9, 9, requires_grad=True)
    both = nn.Sequential(convolution, nn.ReLU())
    found, expected = (
        torch.autograd.grad(forward(x).sqrt().sum(), x)[0]
        for forward in (RectifiedConv2d.of(convolution), both)
    )
    assert expected.isfinite().all()
    torch.testing.assert_close(found, expected)


def test_bfloat16_under_autocast_keeps_types(recwarn) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3).requires_grad_(False)
    x = torch.randn(2, 3, 9, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = RectifiedConv2d.of(convolution)(x), convolution(x).relu()
    assert ours.dtype == theirs.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs)
    found, expected = (torch.autograd.grad(y.float().sum(), x)[0] for y in (ours, theirs))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_half_as_much_is_kept_where_convolutions_follow_each_other() -> None:
    layers = [
        layer
        for width in (8, 8, 8)
        for layer in (nn.Conv2d(width, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    ]
    net = nn.Sequential(*layers).eval().requires_grad_(False)
    x = torch.randn(2, 8, 32, 32, requires_grad=True)
    folded = fold_batch_norm(net)
    assert [type(layer) for layer in folded if type(layer) is not nn.Identity] == 3 * [
        RectifiedConv2d
    ]
    assert kept(folded, x) <= 0.3 * kept(nn.Sequential(*layers[:1], *layers[2:4], layers[5]), x)


class Doubled(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def hooked() -> nn.ReLU:
    relu = nn.ReLU()
    relu.register_forward_hook(lambda *_: None)
    return relu


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(1, 1, 3, padding="same"), nn.ReLU()),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.ReLU()),
        (nn.Conv2d(1, 1, 3), Doubled()),
        (nn.Conv2d(1, 1, 3), hooked()),
        (nn.Conv1d(1, 1, 3), nn.ReLU()),
        (nn.Conv2d(1, 1, 3), nn.Identity(), nn.ReLU()),
    ],
    ids=str,
)
def test_what_is_not_certain_stays_as_it_is(layers) -> None:
    net = nn.Sequential(*layers)
    assert fold_batch_norm(net) is net
