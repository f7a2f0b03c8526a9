"""The linear probe against scikit-learn, and the groups that it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.preprocessing import StandardScaler

from steadyear.callbacks.attribution.linear_probe import PENALTIES, LinearProbe, fit_probe


def data(clips, features, noise, seed=0):
    draw = np.random.default_rng(seed)
    z = draw.normal(size=(clips, features)) * draw.uniform(0.1, 10, features) + 3
    mixing = draw.normal(size=(features, 3)) / z.std(0)[:, None]
    return z, z @ mixing + noise * draw.normal(size=(clips, 3))


@pytest.mark.parametrize(("clips", "features"), [(40, 5), (15, 30)])
def test_probe_is_ridge_with_the_best_left_out_error(clips, features):
    z, c = data(clips, features, noise=1.0)
    probe = fit_probe(torch.tensor(z), torch.tensor(c))
    z, c = StandardScaler().fit_transform(z), StandardScaler().fit_transform(c)
    reference = RidgeCV((PENALTIES * clips).numpy()).fit(z, c)
    assert probe.penalty == pytest.approx(float(reference.alpha_))
    np.testing.assert_allclose(probe.weights.T, reference.coef_, atol=1e-8)
    # One fit per clip that is left out.
    seen = cross_val_predict(Ridge(probe.penalty), z, c, cv=LeaveOneOut())
    np.testing.assert_allclose(probe.r2, 1 - ((c - seen) ** 2).mean(0), atol=1e-8)


def test_each_feature_belongs_to_its_concept():
    draw = torch.Generator().manual_seed(1)
    concepts = torch.randn(60, 3, generator=draw)
    noise = 0.1 * torch.randn(60, 6, generator=draw)
    features = torch.stack([concepts[:, 1], -concepts[:, 0], 5 * concepts[:, 2]] * 2, 1) + noise
    features[:, 5] = 7.0
    assert fit_probe(features, concepts).groups().tolist() == [1, 0, 2, 1, 0, 3]


def test_without_an_explained_concept_everything_is_the_remainder():
    draw = torch.Generator().manual_seed(2)
    concepts = torch.zeros(20, 2)
    concepts[:, 1] = torch.randn(20, generator=draw)
    probe = fit_probe(torch.randn(20, 4, generator=draw), concepts)
    assert probe.r2[0] == 0
    # The first concept is constant, the second is noise.
    assert probe.groups().tolist() == [2] * 4


def test_weights_count_as_much_as_their_concept_is_explained():
    weights = torch.tensor([[9.0, -1.0, 2.1], [0.5, 0.1, -0.4]])
    probe = LinearProbe(weights, torch.tensor([-0.1, 0.6, 0.2]), 1.0)
    assert probe.groups().tolist() == [1, 2]


def test_hopeless_data_are_refused():
    with pytest.raises(ValueError, match="at least two clips"):
        fit_probe(torch.zeros(1, 3), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="finite"):
        fit_probe(torch.tensor([[1.0], [float("nan")]]), torch.zeros(2, 2))
