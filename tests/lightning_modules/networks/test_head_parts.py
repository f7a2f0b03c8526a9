"""Predictions as sums of parts."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from steadyear.lightning_modules import A2B2E, A2E, A2M2E, RegressionModule


class Flat(nn.Flatten):
    embedding_dim = 6


class Squared(nn.Module):
    """A head that is not linear."""

    def forward(self, embedding):
        return embedding[:, :2] ** 2, None


def regression(head, **settings):
    torch.manual_seed(1)
    weight = 0.5 if head is A2M2E else 0.0
    make = partial(head, num_targets=2, **settings)
    module = RegressionModule(Flat(), make, concept_weight=weight).double()
    nn.init.normal_(module.head.to_targets.bias)
    return module


CASES = [(A2E, {}, 6), (A2M2E, {"num_concepts": 3}, 3), (A2B2E, {"num_concepts": 4}, 4)]


@pytest.mark.parametrize(("head", "settings", "inputs"), CASES)
def test_parts_and_bias_are_the_prediction(head, settings, inputs):
    module = regression(head, **settings)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(5, 1, 2, 3, generator=generator, dtype=torch.float64)
    output = module(x)
    parts = module.prediction_parts(output)
    assert parts.shape == (5, 2, inputs)
    torch.testing.assert_close(parts.sum(2) + module.head.to_targets.bias, output.prediction)
    # One input alone, put through the layer, gives its part.
    read = output.embedding if output.concepts is None else output.concepts
    alone = torch.zeros_like(read)
    alone[:, 1] = read[:, 1]
    layer = module.head.to_targets
    torch.testing.assert_close(parts[:, :, 1], layer(alone) - layer.bias)


def test_parts_carry_the_names_of_concepts_only_where_they_have_a_meaning():
    names = {}
    for head, settings, _ in CASES:
        module = regression(head, **settings)
        module.concept_names = ["melody", "rhythm", "minor"]
        names[head] = module.part_names
    assert names[A2E] == []
    assert names[A2M2E] == ["melody", "rhythm", "minor"]
    assert names[A2B2E] == ["unit 0", "unit 1", "unit 2", "unit 3"]
    module = regression(A2M2E, num_concepts=2)
    assert module.part_names == ["concept 0", "concept 1"]


def test_a_head_that_is_not_linear_has_no_parts():
    module = RegressionModule(Flat(), lambda _: Squared())
    assert module.part_names is None
    with pytest.raises(TypeError, match="Squared have no linear parts"):
        module.prediction_parts(module(torch.zeros(1, 1, 2, 3)))
