"""The search: what is kept, how often the model is asked, and what is not finite."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    BIM,
    FGSM,
    L1,
    L2,
    PGD,
    AbsoluteError,
    Attack,
    CrossEntropy,
    Linf,
    Noise,
    Psychoacoustic,
    SquaredError,
    View,
)
from steadyear.attacks.sanity.protocol.watch import watched
from steadyear.attacks.signal.memo import OncePerTensor
from steadyear.foundation.random_streams import RandomStreams
from tests.attacks.few_steps import ATTACKS, BALLS

EVERY = pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)


class Wavy(nn.Module):
    """A rough landscape, in which the last point of a path is often not the worst."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(10, 24), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last((4 * self.first(x)).sin())


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    model = Wavy()
    return model, torch.randn(32, 10), torch.zeros(32, 2)


def found(attack: Attack, case) -> Tensor:
    return attack(*case, index=torch.arange(len(case[1]))).objective


@BALLS
@pytest.mark.parametrize("restarts", [1, 3])
def test_keep_best_is_never_worse_than_the_last_point(case, ball, restarts) -> None:
    make = {"steps": 6, "relative_step": 0.6, "restarts": restarts}
    best = found(PGD(ball, keep_best=True, **make), case)
    last = found(PGD(ball, keep_best=False, **make), case)
    assert (best >= last - 1e-5).all()
    assert (best > last + 1e-3).any()


@BALLS
def test_keep_best_includes_the_last_point_and_the_start(case, ball) -> None:
    """With more steps from the same start the kept objective can only grow."""
    paths = [found(PGD(ball, steps=n, relative_step=0.3), case) for n in (1, 2, 4, 8)]
    for shorter, longer in pairwise(paths):
        assert (longer >= shorter - 1e-5).all()
    start = PGD(ball, steps=1, relative_step=0.0, keep_best=False)
    assert (paths[0] >= found(start, case) - 1e-5).all()
    moved = PGD(ball, steps=1, relative_step=0.3, keep_best=False)
    both = torch.maximum(found(start, case), found(moved, case))
    torch.testing.assert_close(paths[0], both)


@BALLS
@pytest.mark.parametrize("keep_best", [True, False])
def test_restarts_are_never_worse_than_fewer_starts(case, ball, keep_best) -> None:
    make = {"steps": 3, "relative_step": 0.3, "keep_best": keep_best}
    runs = [found(PGD(ball, restarts=n, **make), case) for n in (1, 2, 5)]
    for fewer, more in pairwise(runs):
        assert (more >= fewer - 1e-5).all()
        assert (more > fewer + 1e-3).any()


@BALLS
def test_more_tries_of_noise_are_never_worse(case, ball) -> None:
    runs = [found(Noise(ball, tries=n), case) for n in (1, 2, 10)]
    for fewer, more in pairwise(runs):
        assert (more >= fewer).all()
        assert (more > fewer).any()


@BALLS
def test_noise_spends_its_budget(case, ball) -> None:
    result = Noise(ball, tries=3)(*case)
    torch.testing.assert_close(result.size, torch.full((32,), ball.eps), rtol=1e-5, atol=0)
    assert result.gradient_queries.eq(0).all()


def test_the_step_is_a_share_of_the_budget(case) -> None:
    assert PGD(Linf(1.0), steps=10).relative_step == pytest.approx(0.25)
    one = BIM(Linf(0.4), steps=1, relative_step=0.5, keep_best=False)(*case)
    torch.testing.assert_close(one.size, torch.full((32,), 0.2))


def test_fgsm_is_one_full_step_of_bim(case) -> None:
    one = BIM(L2(0.4), steps=1, relative_step=1.0, keep_best=False)(*case)
    assert torch.equal(FGSM(L2(0.4))(*case).adversarial, one.adversarial)


@pytest.mark.parametrize(
    ("attack", "gradients", "values", "starts"),
    [
        (FGSM(Linf(0.1)), 1, 2, 1),
        (BIM(Linf(0.1), steps=4), 4, 3, 1),
        (PGD(Linf(0.1), steps=4, keep_best=False), 4, 2, 1),
        (PGD(L2(0.1), steps=4, restarts=3), 4, 3, 3),
        (PGD(L2(0.1), steps=2, restarts=3, keep_best=False), 2, 3, 3),
        (Noise(L2(0.1)), 0, 2, 1),
        (Noise(L2(0.1), tries=4), 0, 6, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Attack) else str(value),
)
def test_queries_are_counted(case, attack, gradients, values, starts) -> None:
    """``values`` counts the passes without gradient, among them the first and the last."""
    model, x, target = case
    calls = {True: 0, False: 0}

    def counting(value: Tensor) -> Tensor:
        calls[torch.is_grad_enabled() and value.requires_grad] += 1
        return model(value)

    result = attack(counting, x, target)
    # Starts are searched in one batch, and counted for their clip.
    assert result.gradient_queries.eq(starts * gradients).all()
    assert calls == {True: gradients, False: values}


class Apart(nn.Module):
    """Refuses more clips at once than it was given."""

    def forward(self, x: Tensor) -> Tensor:
        assert len(x) <= 32
        return Wavy()(x)


@BALLS
def test_starts_side_by_side_find_what_they_find_one_after_the_other(case, ball) -> None:
    _, x, target = case
    index = torch.arange(len(x))
    model = nn.Sequential(nn.Identity(), Apart())
    make = {"steps": 5, "relative_step": 0.4, "restarts": 3}
    together = PGD(ball, **make)(case[0], x, target, index=index)
    # What stands before a perturbed submodule sees the batch as it is: nothing can be repeated.
    apart = PGD(ball, **make, view=View(perturb_at="0"))(model, x, target, index=index)
    torch.testing.assert_close(together.objective, apart.objective, rtol=1e-4, atol=1e-5)
    assert together.gradient_queries.eq(15).all()
    assert apart.gradient_queries.eq(15).all()


@BALLS
@pytest.mark.parametrize("solver", [PGD, APGD])
@pytest.mark.parametrize("restarts", [1, 2])
def test_until_success_reaches_the_same_clips_with_fewer_queries(
    case, ball, solver, restarts
) -> None:
    model, x, target = case
    index = torch.arange(len(x))
    asked: list[int] = []

    def counting(value: Tensor) -> Tensor:
        asked.append(len(value))
        return model(value)

    first = solver(ball, AbsoluteError(), steps=20, restarts=restarts)(*case, index=index)
    grown = (first.objective - first.clean_objective).sort().values
    # Between two clips: one at the very edge would leave its success to rounding.
    tolerance = float(grown[len(x) // 4 - 1 : len(x) // 4 + 1].mean())
    make = {"steps": 20, "objective": AbsoluteError(tolerance=tolerance), "restarts": restarts}
    full = solver(ball, **make)(model, x, target, index=index)
    short = solver(ball, **make, until_success=True)(counting, x, target, index=index)
    assert 0 < full.success.sum() < len(x)
    assert torch.equal(full.success, short.success)
    assert (short.gradient_queries <= full.gradient_queries).all()
    assert (short.gradient_queries[short.success] < 20 * restarts).any()
    assert sum(asked) < 0.9 * len(x) * restarts * 20


def test_a_clip_that_is_left_alone_depends_on_no_other_clip(case) -> None:
    model, x, target = case
    attack = PGD(Linf(0.3), AbsoluteError(tolerance=0.2), steps=12, until_success=True)
    index = torch.arange(len(x))
    together = attack(model, x, target, index=index)
    assert 0 < together.success.sum() < len(x)
    for number in range(0, len(x), 5):
        one = slice(number, number + 1)
        alone = attack(model, x[one], target[one], index=index[one])
        torch.testing.assert_close(alone.adversarial, together.adversarial[one])
        assert torch.equal(alone.gradient_queries, together.gradient_queries[one])


class Hole(torch.autograd.Function):
    """The identity, with a bad value or gradient for the second clip."""

    @staticmethod
    def forward(ctx, x, value, gradient):
        ctx.bad = gradient
        out = x.clone()
        out[1] += value
        return out

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        gradient[1, 0] += ctx.bad
        return gradient, None, None


@EVERY
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_an_error(case, make, bad) -> None:
    model, x, target = case
    with pytest.raises(FloatingPointError, match="clean objective of 1 of 32"):
        make(Linf(0.1))(lambda value: model(Hole.apply(value, bad, 0.0)), x, target)


@EVERY
def test_gradients_that_are_not_finite_are_an_error(case, make) -> None:
    """Values alone look fine: keeping the best point would hide that nothing was attacked."""
    model, x, target = case
    for bad in (float("nan"), float("inf")):
        with pytest.raises(FloatingPointError, match=r"of 1 of 32 clips is not finite"):
            make(Linf(0.1))(lambda value, b=bad: Hole.apply(model(value), 0.0, b), x, target)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("objective", [SquaredError(), AbsoluteError()], ids=["mse", "mae"])
def test_values_that_break_on_the_path_only_are_an_error(case, objective, bad) -> None:
    """An infinite absolute error has a finite gradient, and would be kept as the best point."""
    model, x, target = case
    passes = []

    def breaks(value: Tensor) -> Tensor:
        passes.append(0)
        return Hole.apply(model(value), bad if len(passes) == 3 else 0.0, 0.0)

    with pytest.raises(FloatingPointError, match="path"):
        PGD(Linf(0.1), objective, steps=5)(breaks, x, target)


def test_clips_with_nan_are_an_error(case) -> None:
    model, x, target = case
    x[5, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="clean objective of 1 of 32"):
        Noise(Linf(0.1))(model, x, target)


def test_a_zero_gradient_is_no_direction(case) -> None:
    _, x, _ = case
    for ball in (Linf(0.1), L2(0.1)):
        result = FGSM(ball, CrossEntropy())(lambda v: 0 * v[:, :2], x, torch.zeros(32).long())
        assert torch.equal(result.adversarial, x)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: PGD(Linf(0.1), steps=0), "at least one step"),
        (lambda: PGD(Linf(0.1), restarts=0), "one start"),
        (lambda: PGD(Linf(0.1), restarts=2, random_start=False), "repeat one path"),
        (lambda: PGD(Linf(0.1), keep_best=False, until_success=True), "set keep_best"),
        (lambda: BIM(Linf(0.1), steps=0), "at least one step"),
        (lambda: Noise(Linf(0.1), tries=0), "at least one try"),
    ],
)
def test_searches_that_cannot_work_are_refused(make, match) -> None:
    with pytest.raises(ValueError, match=match):
        make()


SOLVERS = pytest.mark.parametrize(
    ("solver", "ball"),
    [(PGD, Linf(0.8)), (PGD, L2(3.0)), (APGD, Linf(0.8)), (APGD, L2(3.0)), (APGD, L1(4.0))],
    ids=str,
)


@SOLVERS
def test_patience_saves_queries_and_little_damage(solver, ball) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 2))
    x, target = torch.randn(32, 10), torch.zeros(32, 2)
    index = torch.arange(len(x))
    make = {"steps": 60, **({"relative_step": 0.25} if solver is PGD else {})}
    full = solver(ball, **make)(model, x, target, index=index)
    short = solver(ball, **make, patience=10)(model, x, target, index=index)
    assert short.gradient_queries.min() >= 20  # two looks are needed to see that nothing grows
    assert short.gradient_queries.double().mean() < 40
    lost = (full.objective - short.objective) / (full.objective - full.clean_objective)
    assert lost.mean() < 0.02


@SOLVERS
def test_who_is_left_alone_depends_on_no_other_clip(case, solver, ball) -> None:
    model, x, target = case
    index = torch.arange(len(x))
    attack = solver(ball, steps=40, patience=5, restarts=2)
    whole = attack(model, x, target, index=index)
    part = attack(model, x[5:9], target[5:9], index=index[5:9])
    torch.testing.assert_close(part.objective, whole.objective[5:9], rtol=1e-3, atol=1e-4)


def test_patience_is_at_least_one_step_and_keeps_the_best() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        APGD(Linf(0.1), patience=0)
    with pytest.raises(ValueError, match="keep_best"):
        PGD(Linf(0.1), patience=3, keep_best=False)


@SOLVERS
def test_the_path_of_a_search_stays_as_it_was(case, solver, ball) -> None:
    """Who keeps what the objective said keeps the values of that step."""
    model, x, target = case
    attack, path = watched(solver(ball, steps=5))
    index = torch.arange(len(x))
    attack(model, x, target, index=index)
    first = solver(ball, steps=5).ball.sample_in_ball(x, RandomStreams(0, index))
    expected = SquaredError()(model(x + first), target)
    torch.testing.assert_close(path[0], expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(path[0], path[-1])


@pytest.mark.parametrize("solver", [PGD, APGD])
def test_clips_are_analysed_once_for_all_steps(solver, monkeypatch) -> None:
    analysed: list[int] = []
    ball = Psychoacoustic(8000, 1.0, bins=16)
    memory = next(v for v in vars(ball).values() if isinstance(v, OncePerTensor))
    function = memory.function
    monkeypatch.setattr(memory, "function", lambda x: analysed.append(len(x)) or function(x))
    model = nn.Sequential(nn.Linear(2000, 4), nn.Tanh(), nn.Linear(4, 2))
    x = torch.randn(5, 2000)
    solver(ball, steps=12, patience=3)(model, x, torch.zeros(5, 2))
    assert len(analysed) <= 1 + 12 // 3
