"""APGD, MI-FGSM, NI-FGSM and Square against torchattacks."""

from __future__ import annotations

import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.attacks import APGD, DLR, L2, MIFGSM, NIFGSM, CrossEntropy, Linf, Margin, Square

EPS = {"linf": 0.06, "l2": 0.5}
WIDE = {"linf": 0.18, "l2": 1.3}
BALLS = {"linf": Linf, "l2": L2}
NAMES = {"linf": "Linf", "l2": "L2"}
NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, Tensor, Tensor]:
    """A classifier trained on noisy patterns, and clips that it knows."""
    torch.manual_seed(1)
    patterns = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.SiLU(), nn.Flatten(), nn.Linear(216, 5)).double()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)

    def batch(size: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(5, (size,))
        noise = 0.25 * torch.randn(size, 1, 8, 8, dtype=torch.float64)
        return (patterns[labels] + noise).clamp(0, 1), labels

    for _ in range(120):
        x, labels = batch(64)
        optimiser.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimiser.step()
    return net.eval(), *batch(40)


def torchattacks(name: str):
    return getattr(importlib.import_module("torchattacks"), name)


@NORMS
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_walks_as_torchattacks_does(case, norm, loss, monkeypatch) -> None:
    """The same start: the same worst point after a hundred steps and eight checkpoints."""
    net, x, labels = case
    reference = torchattacks("APGD")(
        net, norm=NAMES[norm], eps=EPS[norm], steps=100, loss=loss, seed=3
    )
    torch.manual_seed(3)
    draw = torch.rand(x.shape) * 2 - 1 if norm == "linf" else torch.randn(x.shape)
    draw = draw.double().flatten(1)
    length = draw.abs().amax(1, True) if norm == "linf" else draw.norm(dim=1, keepdim=True)
    start = (EPS[norm] * draw / length).reshape(x.shape)
    torch.manual_seed(3)
    found, _, most, _ = reference.attack_single_run(x, labels)
    objective = {"ce": CrossEntropy, "dlr": DLR}[loss]()
    attack = APGD(BALLS[norm](EPS[norm]), objective, steps=100, bounds=(0.0, 1.0))
    result = attack(net, x, labels, start=start)
    away = (result.adversarial - found).abs().amax((1, 2, 3))
    assert (away < 1e-7).double().mean() > (0.99 if norm == "linf" else 0.5)
    # In L2 rounding decides about halving where nothing moves any more.
    torch.testing.assert_close(result.objective, most, atol=0.02, rtol=0)
    assert abs(float((result.objective - most).mean())) < 1e-3
    assert (result.gradient_queries == 100).all()


@pytest.mark.parametrize(("ours", "name"), [(MIFGSM, "MIFGSM"), (NIFGSM, "NIFGSM")])
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_momentum_equals_torchattacks(case, ours, name, decay) -> None:
    net, x, labels = case
    eps = EPS["linf"]
    reference = torchattacks(name)(net, eps=eps, alpha=0.2 * eps, steps=8, decay=decay)(x, labels)
    make = {"relative_step": 0.2, "decay": decay, "bounds": (0.0, 1.0)}
    attack = ours(Linf(eps), CrossEntropy(), steps=8, keep_best=False, **make)
    result = attack(net, x, labels)
    assert (result.size > 0.9 * eps).all()
    torch.testing.assert_close(result.adversarial, reference, atol=1e-6, rtol=0)
    best = ours(Linf(eps), CrossEntropy(), steps=8, **make)(net, x, labels)
    assert (best.objective >= result.objective - 1e-9).all()
    assert (best.objective >= best.clean_objective).all()


@NORMS
def test_square_breaks_as_many_clips_as_that_of_torchattacks(case, norm) -> None:
    """Both draw at random, so that one run says little: the mean over a few seeds."""
    net, x, labels = case
    eps, queries, seeds = WIDE[norm], 300, range(4)
    theirs, results = [], []
    for seed in seeds:
        reference = torchattacks("Square")(
            net, norm=NAMES[norm], eps=eps, n_queries=queries, loss="margin", seed=seed
        )
        theirs.append(net(reference(x, labels)).argmax(1) != labels)
        make = {"until_success": True, "bounds": (0.0, 1.0), "seed": seed}
        results.append(Square(BALLS[norm](eps), Margin(), queries=queries, **make)(net, x, labels))
    ours = torch.stack([result.success for result in results]).double().mean()
    assert ours >= torch.stack(theirs).double().mean() > 0.1
    result = results[0]
    by_gradient = APGD(BALLS[norm](eps), Margin(), steps=40, bounds=(0.0, 1.0))(net, x, labels)
    assert by_gradient.success.double().mean() >= result.success.double().mean()
    assert (result.gradient_queries == 0).all()
    assert (result.forward_queries[~result.success] == queries).all()
    assert result.forward_queries[result.success].double().mean() < 0.75 * queries
