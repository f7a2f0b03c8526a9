"""FGSM, BIM and PGD against foolbox and torchattacks: same start, same steps, same result."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import BIM, FGSM, L2, PGD, CrossEntropy, Linf

EPS = {"linf": 0.05, "l2": 0.4}
BALLS = {"linf": Linf, "l2": L2}
STEPS, RELATIVE = 7, 0.3
NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    """A classifier in double precision, and images with values close to both bounds."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(144, 5)
    )
    net = net.double().eval()
    x = (torch.rand(6, 1, 8, 8, dtype=torch.float64) * 1.4 - 0.2).clamp(0, 1)
    return net, x, torch.randint(5, (6,))


@pytest.fixture
def start(case, norm) -> Tensor:
    """A start within the ball, the same for us and for the reference."""
    torch.manual_seed(2)
    noise = torch.rand_like(case[1]) * 2 - 1
    if norm == "linf":
        return noise * EPS["linf"]
    return noise / noise.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) * (0.7 * EPS["l2"])


def ours(case, norm, kind, start=None) -> Tensor:
    net, x, labels = case
    ball = BALLS[norm](EPS[norm])
    common = {"objective": CrossEntropy(), "bounds": (0.0, 1.0)}
    if kind == "fgsm":
        attack = FGSM(ball, **common)
    elif kind == "bim":
        attack = BIM(ball, steps=STEPS, relative_step=RELATIVE, keep_best=False, **common)
    else:
        ball.sample_in_ball = lambda x, rng: start
        attack = PGD(ball, steps=STEPS, relative_step=RELATIVE, keep_best=False, **common)
    return attack(net, x, labels).adversarial


def close(result: Tensor, reference: Tensor, x: Tensor) -> None:
    assert (reference - x).abs().amax() > 0.02
    torch.testing.assert_close(result, reference, atol=1e-6, rtol=0)


def foolbox_run(case, attack, norm) -> Tensor:
    foolbox = importlib.import_module("foolbox")
    net, x, labels = case
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    return attack.run(model, x, foolbox.criteria.Misclassification(labels), epsilon=EPS[norm])


@NORMS
@pytest.mark.parametrize("kind", ["fgsm", "bim", "pgd"])
def test_equals_foolbox(case, norm, kind, start) -> None:
    found = importlib.import_module("foolbox").attacks
    ep = importlib.import_module("eagerpy")
    prefix = {"linf": "Linf", "l2": "L2"}[norm]
    if kind == "fgsm":
        attack = getattr(found, f"{prefix}FastGradientAttack")(random_start=False)
    elif kind == "bim":
        attack = getattr(found, f"{prefix}BasicIterativeAttack")(
            rel_stepsize=RELATIVE, steps=STEPS, random_start=False
        )
    else:
        attack = getattr(found, f"{prefix}PGD")(rel_stepsize=RELATIVE, steps=STEPS)
        attack.get_random_start = lambda x0, epsilon: x0 + ep.astensor(start)
    close(ours(case, norm, kind, start), foolbox_run(case, attack, norm), case[1])


def test_fgsm_equals_torchattacks(case) -> None:
    torchattacks = importlib.import_module("torchattacks")
    net, x, labels = case
    reference = torchattacks.FGSM(net, eps=EPS["linf"])(x, labels)
    close(ours(case, "linf", "fgsm"), reference, x)


def test_bim_equals_torchattacks(case) -> None:
    torchattacks = importlib.import_module("torchattacks")
    net, x, labels = case
    eps = EPS["linf"]
    reference = torchattacks.BIM(net, eps=eps, alpha=RELATIVE * eps, steps=STEPS)(x, labels)
    close(ours(case, "linf", "bim"), reference, x)


@NORMS
def test_pgd_equals_torchattacks(case, norm, start, monkeypatch) -> None:
    torchattacks = importlib.import_module("torchattacks")
    net, x, labels = case
    eps = EPS[norm]
    make = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[norm]
    attack = make(net, eps=eps, alpha=RELATIVE * eps, steps=STEPS)
    result = ours(case, norm, "pgd", start)
    with monkeypatch.context() as patch:
        # Its random start is drawn in place; L2 draws a direction and then a share of the budget.
        share = start if norm == "linf" else start.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) / eps
        patch.setattr(torch.Tensor, "uniform_", lambda self, *_: self.copy_(share))
        patch.setattr(torch.Tensor, "normal_", lambda self, *_: self.copy_(start))
        reference = attack(x, labels)
    close(result, reference, x)
