"""The asymmetric loss against the reference arrays, closed forms and half precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from steadyear.lightning_modules import AsymmetricLoss


@pytest.fixture(scope="module")
def oracle(shared_data):
    stored = np.load(shared_data / "reference" / "asymmetric_loss.npz")
    return {name: torch.from_numpy(stored[name]) for name in stored}


def gradient(loss, logits, target):
    logits = logits.clone().requires_grad_()
    value = loss(logits, target)
    return value.detach(), torch.autograd.grad(value.sum(), logits)[0]


def numpy_loss(logits, target):
    """The published formula, written down again in double precision."""
    x, y = logits.double().numpy(), target.double().numpy()
    p = 1 / (1 + np.exp(-x))
    q = np.minimum(1 - p + 0.05, 1)
    log = y * np.log(np.maximum(p, 1e-8)) + (1 - y) * np.log(np.maximum(q, 1e-8))
    return -log * (1 - (p * y + q * (1 - y))) ** (y + 4 * (1 - y))


@pytest.mark.parametrize(
    ("target", "mean", "grad"),
    [("targets", "loss_mean", "grad"), ("soft_targets", "loss_soft_mean", "grad_soft")],
)
def test_birdset_variant_equals_the_reference(oracle, target, mean, grad):
    value, slope = gradient(AsymmetricLoss(), oracle["logits"], oracle[target])
    torch.testing.assert_close(value, oracle[mean], rtol=1e-5, atol=0)
    torch.testing.assert_close(slope, oracle[grad], rtol=1e-5, atol=1e-12)


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(6, 5, generator=generator) < 0.4).double()


def test_original_variant_is_a_sum_with_constant_weights(clips):
    logits, target = clips
    value, slope = gradient(AsymmetricLoss(variant="original"), logits, target)
    assert value.item() == pytest.approx(numpy_loss(logits, target).sum(), rel=1e-5)
    # With constant weights a positive has the slope -(1 - p) * (1 - p) and a negative, where it is
    # not forgotten, (1 - q)^4 * p * (1 - p) / q.
    p = logits.sigmoid()
    q = (1 - p + 0.05).clamp(max=1)
    expected = torch.where(target == 1, -((1 - p) ** 2), (1 - q) ** 4 * p * (1 - p) / q)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-15)
    other = gradient(AsymmetricLoss(), logits, target)[1] * logits.numel()
    assert (slope - other).abs().max() > 0.01


@pytest.mark.parametrize(("variant", "axis"), [("birdset", np.mean), ("original", np.sum)])
def test_one_value_per_clip(clips, variant, axis):
    logits, target = clips
    expected = axis(numpy_loss(logits, target), 1)
    loss = AsymmetricLoss(variant=variant)
    np.testing.assert_allclose(loss.per_clip(logits, target), expected, rtol=1e-5)
    each = AsymmetricLoss(variant=variant, reduction="clip")
    np.testing.assert_allclose(each(logits, target), expected, rtol=1e-5)
    assert loss(logits, target).item() == pytest.approx(axis(expected), rel=1e-5)


def test_without_focus_and_clip_it_is_cross_entropy(clips):
    logits, target = clips
    loss = AsymmetricLoss(0, 0, 0)(logits, target)
    expected = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


def test_easy_negatives_are_forgotten_and_hard_ones_saturate():
    logits = torch.tensor([[math.log(0.05 / 0.95) - 1e-3, 2.0, 10.0]])
    _, slope = gradient(AsymmetricLoss(), logits, torch.zeros(1, 3))
    assert slope[0, 0] == 0
    # Measured with the reference: 0.72 at 2, 0.0012 at 10, where the loss is capped at 2.44.
    assert 3 * slope[0, 1].item() == pytest.approx(0.72, abs=0.005)
    assert 3 * slope[0, 2].item() == pytest.approx(0.0012, abs=0.00005)
    alone = AsymmetricLoss()(torch.tensor([[10.0]]), torch.zeros(1, 1))
    assert alone.item() == pytest.approx(2.44, abs=0.005)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    logits = torch.tensor([[-30.0, 30.0, 5.0]], dtype=dtype)
    target = torch.tensor([[1.0, 0.0, 0.5]], dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        value = AsymmetricLoss()(logits, target)
    assert value.dtype == torch.float32
    expected = numpy_loss(logits.float(), target.float()).mean()
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("variant", ["birdset", "original"])
def test_extreme_logits_have_finite_gradients(variant):
    logits = torch.tensor([[-1e4, -100.0, 0.0, 100.0, 1e4]]).repeat(3, 1)
    target = torch.tensor([0.0, 1.0, 0.3])[:, None].expand(3, 5)
    value, slope = gradient(AsymmetricLoss(variant=variant), logits, target)
    assert value.isfinite()
    assert slope.isfinite().all()


def test_gradient_reaches_soft_targets_that_are_not_detached(clips):
    logits, _ = clips
    clean = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    loss = AsymmetricLoss()
    (slope,) = torch.autograd.grad(loss(logits, clean.sigmoid()), clean)
    step = 1e-3 * torch.eye(5)[2].expand(6, 5)
    with torch.no_grad():
        above, below = (numpy_loss(logits, each.sigmoid()).mean() for each in (step, -step))
    assert slope[:, 2].sum().item() == pytest.approx((above - below) / 2e-3, rel=1e-4)


def test_wrong_settings_and_shapes_are_named():
    with pytest.raises(ValueError, match="birdset, original"):
        AsymmetricLoss(variant="timm")
    with pytest.raises(ValueError, match="batch, clip"):
        AsymmetricLoss(reduction="mean")
    with pytest.raises(ValueError, match=">= 0"):
        AsymmetricLoss(gamma_negative=-1)
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        AsymmetricLoss()(torch.zeros(2, 3), torch.zeros(2, 4))
