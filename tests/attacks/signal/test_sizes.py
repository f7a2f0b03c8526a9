"""Norms and signal-to-noise ratio against their definitions in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steadyear.attacks import L2, Linf, l2_norm, linf_norm, snr_db


@pytest.fixture
def values() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(5, 2, 3, 40) * torch.tensor([1e-3, 0.1, 1.0, 10.0, 1e3]).reshape(5, 1, 1, 1)


def flat(values: torch.Tensor) -> np.ndarray:
    return values.double().numpy().reshape(len(values), -1)


def test_norms_equal_numpy(values) -> None:
    rows = flat(values)
    l2, linf = np.linalg.norm(rows, axis=1), np.linalg.norm(rows, np.inf, axis=1)
    np.testing.assert_allclose(l2_norm(values), l2, rtol=1e-6)
    np.testing.assert_allclose(linf_norm(values), linf, rtol=1e-7)
    np.testing.assert_allclose(L2(1.0).size(values, values), l2, rtol=1e-6)
    np.testing.assert_allclose(Linf(1.0).size(values, values), linf, rtol=1e-7)
    assert (L2.norm, Linf.norm) == ("l2", "linf")


def test_snr_equals_its_definition(values) -> None:
    clean = values.roll(2, 0)
    power = [(flat(tensor) ** 2).mean(1) for tensor in (clean, values)]
    expected = 10 * np.log10(power[0] / power[1])
    np.testing.assert_allclose(snr_db(clean, values), expected, rtol=1e-5, atol=1e-5)


def test_snr_of_known_ratios() -> None:
    clean = torch.ones(4, 100)
    scale = torch.tensor([1.0, 0.1, 0.01, 0.0])[:, None]
    assert snr_db(clean, scale * clean).tolist() == pytest.approx([0, 20, 40, float("inf")])


def test_projection_is_the_nearest_point(values) -> None:
    from_numpy = flat(values)
    linf = Linf(0.5).project(values, values)
    np.testing.assert_allclose(flat(linf), from_numpy.clip(-0.5, 0.5))
    norms = np.linalg.norm(from_numpy, axis=1, keepdims=True)
    np.testing.assert_allclose(
        flat(L2(0.5).project(values, values)), from_numpy * np.minimum(1, 0.5 / norms), rtol=1e-5
    )


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_directions_are_steepest_and_of_unit_size(values, scale) -> None:
    """Also where the squares of a gradient leave the range of fp32."""
    values[0] = 0
    gradient = scale * values
    sign, unit = Linf(1.0).direction(gradient, gradient), L2(1.0).direction(gradient, gradient)
    assert torch.equal(sign, values.sign())
    expected = flat(values)[1:] / np.linalg.norm(flat(values)[1:], axis=1, keepdims=True)
    np.testing.assert_allclose(flat(unit)[1:], expected, rtol=1e-5, atol=1e-9)
    assert (unit[0] == 0).all()
