"""APGD, momentum and Square on their own: schedules, counts, starts, and strength on our tasks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    BIM,
    L2,
    MIFGSM,
    NIFGSM,
    PGD,
    AbsoluteError,
    Linf,
    Noise,
    OutputLoss,
    PairwiseRanking,
    Square,
    SquaredError,
    Unbounded,
)
from steadyear.attacks.black_box.square import _bump, _window
from steadyear.attacks.gradient.auto_pgd import checkpoints

BALLS = pytest.mark.parametrize("ball", [Linf(0.2), L2(2.0)], ids=str)
MAKE = {
    "apgd": lambda ball, **more: APGD(ball, steps=20, **more),
    "pgd": lambda ball, **more: PGD(ball, steps=20, **more),
    "square": lambda ball, **more: Square(ball, queries=20, **more),
}


def trained(labels: bool) -> tuple[nn.Module, Tensor, Tensor]:
    """A small network that has learned patterns in noise: eight ratings, or twelve labels."""
    torch.manual_seed(3)
    outputs = 12 if labels else 8
    patterns = torch.randn(outputs, 12, 12)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(200, 32), nn.ReLU()
    ).append(nn.Linear(32, outputs))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    loss = F.binary_cross_entropy_with_logits if labels else F.mse_loss

    def batch(size: int) -> tuple[Tensor, Tensor]:
        target = torch.rand(size, outputs)
        target = (target > 0.75).float() if labels else target
        x = torch.einsum("nk,khw->nhw", target, patterns) + 0.3 * torch.randn(size, 12, 12)
        return x[:, None], target

    for _ in range(150):
        x, target = batch(64)
        optimiser.zero_grad()
        loss(net(x), target).backward()
        optimiser.step()
    return net.eval(), *batch(32)


@pytest.fixture(scope="module")
def ratings() -> tuple[nn.Module, Tensor, Tensor]:
    return trained(labels=False)


@pytest.fixture(scope="module")
def labels() -> tuple[nn.Module, Tensor, Tensor]:
    return trained(labels=True)


@BALLS
@pytest.mark.parametrize("steps", [10, 30])
@pytest.mark.parametrize(
    ("task", "objective"),
    [
        ("ratings", SquaredError()),
        ("ratings", AbsoluteError()),
        ("labels", OutputLoss()),
        ("labels", PairwiseRanking()),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_apgd_is_stronger_than_pgd_with_the_same_gradients(
    task, objective, ball, steps, request
) -> None:
    case, index = request.getfixturevalue(task), torch.arange(32)
    apgd = APGD(ball, objective, steps=steps)(*case, index=index)
    pgd = PGD(ball, objective, steps=steps)(*case, index=index)
    assert torch.equal(apgd.gradient_queries, pgd.gradient_queries)
    assert apgd.objective.mean() > pgd.objective.mean()
    assert (apgd.objective > pgd.objective).double().mean() > 0.7


@BALLS
def test_square_is_between_noise_and_gradients(ratings, ball) -> None:
    index = torch.arange(32)
    apgd = APGD(ball, steps=20)(*ratings, index=index).objective.mean()
    square = Square(ball, queries=100)(*ratings, index=index)
    noise = Noise(ball, tries=100)(*ratings, index=index).objective.mean()
    assert apgd > square.objective.mean() > noise
    assert (square.forward_queries == 100).all()
    assert (square.gradient_queries == 0).all()
    more = Square(ball, queries=300)(*ratings, index=index)
    assert more.objective.mean() > square.objective.mean()


def test_checkpoints_are_those_of_the_paper() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(50) == [11, 21, 29, 35, 40, 44, 47, 50][:-1]
    assert checkpoints(1) == []
    for steps in range(1, 40):
        found = checkpoints(steps)
        assert found == sorted(set(found))
        assert all(0 < step < steps for step in found)


@BALLS
def test_forward_passes_and_gradients_are_counted(ratings, ball) -> None:
    calls = {"with": 0, "without": 0}
    net, x, target = ratings

    def model(clips: Tensor) -> Tensor:
        # Starts are searched side by side, in a larger batch.
        calls["with" if clips.requires_grad else "without"] += len(clips) // len(x)
        return net(clips)

    for attack in (APGD(ball, steps=7), APGD(ball, steps=7, restarts=3), Square(ball, queries=9)):
        calls.update({"with": 0, "without": 0})
        result = attack(model, x, target)
        assert (result.gradient_queries == calls["with"]).all()
        # One for the clean clip and one for the result are made for every attack.
        assert (result.forward_queries == calls["without"] - 2).all()
    steps = MIFGSM(ball, steps=5)(model, x, target), NIFGSM(ball, steps=5)(model, x, target)
    assert [int(r.forward_queries[0]) for r in steps] == [1, 6]
    assert [int(r.gradient_queries[0]) for r in steps] == [5, 5]
    assert PGD(ball, steps=5)(model, x, target).forward_queries.unique().tolist() == [1]


@BALLS
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_is_never_worse_than_its_start(ratings, ball, make) -> None:
    start = PGD(ball, steps=40)(*ratings)
    result = make(ball, seed=9)(*ratings, start=start.perturbation)
    assert (result.objective >= start.objective * (1 - 1e-5)).all()
    cold = make(ball, seed=9)(*ratings)
    assert (result.objective > cold.objective + 1e-6).any()


@BALLS
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_start_is_projected_and_must_fit(ratings, ball, make) -> None:
    net, x, target = ratings
    result = make(ball)(net, x, target, start=100 * torch.ones_like(x))
    assert (result.size <= ball.eps * (1 + 1e-6)).all()
    with pytest.raises(ValueError, match="need one shape"):
        make(ball)(net, x, target, start=torch.zeros(1, 3))


@BALLS
def test_apgd_restarts_are_never_worse(ratings, ball) -> None:
    index = torch.arange(32)
    one = APGD(ball, steps=6)(*ratings, index=index).objective
    four = APGD(ball, steps=6, restarts=4)(*ratings, index=index).objective
    assert (four >= one - 1e-6).all()
    assert (four > one + 1e-5).any()


def test_without_decay_momentum_is_the_basic_iterative_method(ratings) -> None:
    for ball in (Linf(0.1), L2(1.0)):
        bim = BIM(ball, steps=5, relative_step=0.2)(*ratings)
        for attack in (MIFGSM, NIFGSM):
            found = attack(ball, steps=5, decay=0.0)(*ratings)
            torch.testing.assert_close(found.adversarial, bim.adversarial, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(40,), (1, 40), (3, 5, 2), (7, 1), (1, 30, 7), (2, 2, 6, 5)])
@BALLS
def test_square_searches_clips_of_every_shape(shape, ball) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, *shape)
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3))
    target = torch.randn(4, 3)
    result = Square(ball, queries=60)(net, x, target)
    assert (result.objective > result.clean_objective).all()
    assert (result.size <= ball.eps * (1 + 1e-6)).all()
    torch.testing.assert_close(result.size, torch.full((4,), ball.eps), rtol=1e-5, atol=0)


def test_square_finds_the_worst_corner_of_a_small_linear_model() -> None:
    """Four values: after many queries every one of them is at the right end of the ball."""
    torch.manual_seed(0)
    model, x = nn.Linear(4, 1).double(), torch.randn(5, 4, dtype=torch.float64)
    with torch.no_grad():
        target = model(x) - 1
    result = Square(Linf(0.1), AbsoluteError(), queries=200)(model, x, target)
    expected = 1 + 0.1 * model.weight.detach().abs().sum()
    torch.testing.assert_close(result.objective, expected.expand(5))


def test_windows_cover_their_share() -> None:
    assert _window(0.25, (1, 1, 10, 10)) == (5, 5)
    assert _window(0.8, (1, 1, 10, 10)) == (9, 9)
    assert _window(0.5, (1, 1, 4, 100)) == (4, 50)
    assert _window(0.5, (1, 1, 100, 4)) == (50, 4)
    assert _window(0.1, (1, 1, 1, 1000)) == (1, 100)
    assert _window(1.0, (1, 1, 313, 149)) == (313, 149)
    assert _window(1e-9, (1, 1, 8, 8)) == (1, 1)


def test_a_bump_is_nested_squares() -> None:
    """Written out for a window of five by five: 1 + 1/4 + 1/9 in the middle."""
    full = np.full((5, 5), 1 / 9)
    full[1:4, 1:4] += 1 / 4
    full[2, 2] += 1
    found = _bump(5, 5, torch.zeros(1, dtype=torch.float64))
    np.testing.assert_allclose(found, full / np.linalg.norm(full), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: APGD(Linf(0.1), steps=0), ValueError, "at least one step"),
        (lambda: APGD(Linf(0.1), restarts=0), ValueError, "at least one step"),
        (lambda: MIFGSM(Linf(0.1), steps=0), ValueError, "MIFGSM needs"),
        (lambda: NIFGSM(Linf(0.1), decay=-1.0), ValueError, "NIFGSM needs"),
        (lambda: Square(Linf(0.1), queries=0), ValueError, "at least one query"),
        (lambda: Square(Linf(0.1), share=1.5), ValueError, "a share"),
        (lambda: Square(Unbounded()), TypeError, "Linf or the L2 ball"),
    ],
)
def test_wrong_settings_are_refused(make, error, match) -> None:
    with pytest.raises(error, match=match):
        make()
