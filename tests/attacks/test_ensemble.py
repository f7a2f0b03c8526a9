"""AudioAutoAttack: at least as strong as its members, its cost, and who is attacked by whom."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attacks import (
    APGD,
    DLR,
    FMN,
    L2,
    AbsoluteError,
    AudioAutoAttack,
    CrossEntropy,
    Linf,
    OutputLoss,
    Square,
    SquaredError,
    View,
)
from attacks.ensemble import _PLANS

TASKS = ("regression", "multilabel", "multiclass")
TASK = pytest.mark.parametrize("task", TASKS)
BALL = pytest.mark.parametrize("ball", [Linf, L2])
TOLERANCE = 0.15


def quick(ball, task, **more) -> AudioAutoAttack:
    return AudioAutoAttack(ball, task, TOLERANCE, version="1.0-quick", **more)


def problem(task: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 6))
    x = torch.randn(24, 16)
    with torch.no_grad():
        z = 3 * net(x)
    if task == "multiclass":
        return net, x, z.argmax(1)
    return net, x, (z > 0).float() if task == "multilabel" else z / 3 + 0.05 * torch.randn(24, 6)


EPS = {"regression": 0.3, "multilabel": 0.02, "multiclass": 0.08}


def budget(ball: type, task: str):
    return ball(EPS[task] * (1 if ball is Linf else 3))


@TASK
@BALL
def test_is_never_weaker_than_its_members(task, ball) -> None:
    case, index = problem(task), torch.arange(24)
    plan = _PLANS["1.0-quick"]
    steps = plan.steps
    found = quick(budget(ball, task), task)(*case, index=index)
    members = {
        "regression": [AbsoluteError(tolerance=TOLERANCE), SquaredError(tolerance=TOLERANCE)],
        "multilabel": [OutputLoss()],
        "multiclass": [CrossEntropy(), DLR()],
    }
    assert 0 < found.success.sum() < 24
    for objective in members[task]:
        single = APGD(budget(ball, task), objective, steps=steps)(*case, index=index)
        assert found.success.sum() >= single.success.sum()
    settings = {FMN: (plan.steps, plan.bisections), Square: (plan.queries,)}
    for attack, given in settings.items():
        single = attack(budget(ball, task), found_by(task), *given)(*case, index=index)
        assert found.success.sum() >= single.success.sum()
    # From one start the first member walks the same path: success goes first, then the objective.
    start = torch.zeros_like(case[1])
    found = quick(budget(ball, task), task)(*case, index=index, start=start)
    first = APGD(budget(ball, task), found_by(task), steps=steps)(*case, index=index, start=start)
    more = found.success & ~first.success
    assert ((found.objective >= first.objective - 1e-5) | more).all()
    assert (found.success | ~first.success).all()
    assert (found.objective > first.objective + 1e-5).any() or more.any()
    assert (found.size <= budget(ball, task).eps * (1 + 1e-6)).all()


def found_by(task: str):
    if task == "regression":
        return AbsoluteError(tolerance=TOLERANCE)
    return OutputLoss() if task == "multilabel" else CrossEntropy()


@TASK
@BALL
def test_cost_is_reached_where_a_clip_resists_everything(task, ball) -> None:
    net, x, target = problem(task)
    attack = quick(ball(1e-7), task)
    if task == "regression":
        target = net(x).detach() + 1
    result = attack(net, x, target)
    assert not result.success.any()
    assert result.gradient_queries.unique().tolist() == [attack.cost.gradient_queries]
    assert result.forward_queries.unique().tolist() == [attack.cost.forward_queries]


@TASK
def test_clips_that_fall_early_cost_two_climbs(task) -> None:
    net, x, target = problem(task)
    attack = quick(Linf(3.0), task)
    result = attack(net, x, target)
    assert result.success.all()
    steps = _PLANS["1.0-quick"].steps
    assert (result.gradient_queries == 2 * steps).all()
    assert (result.forward_queries == 4).all()
    assert attack.cost.gradient_queries > 2 * steps


def test_costs_are_those_of_the_version() -> None:
    assert AudioAutoAttack(Linf(0.1), "multiclass").cost == (1200, 22 + 11 + 5001)
    assert AudioAutoAttack(Linf(0.1), "regression").cost == (500, 8 + 11 + 5001)
    assert quick(Linf(0.1), "multilabel").cost == (20 * 6, 10 + 6 + 201)


def test_a_clip_does_not_depend_on_its_batch_where_some_fall_and_some_resist() -> None:
    net, x, target = problem("multiclass")
    net, x = net.double(), x.double()
    index = torch.arange(24)
    attack = quick(Linf(0.08), "multiclass")
    whole = attack(net, x, target, index=index)
    part = attack(net, x[5:9], target[5:9], index=index[5:9])
    assert whole.gradient_queries.unique().numel() > 1
    torch.testing.assert_close(part.adversarial, whole.adversarial[5:9], atol=1e-9, rtol=0)
    assert torch.equal(part.gradient_queries, whole.gradient_queries[5:9])


def test_inside_a_model_every_clip_is_asked_for_together() -> None:
    net, x, target = problem("multiclass")
    model = nn.Sequential(nn.Identity(), net)
    inside = quick(Linf(0.08), "multiclass", view=View(perturb_at="0"))(model, x, target)
    outside = quick(Linf(0.08), "multiclass")(net, x, target)
    assert inside.success.sum() >= outside.success.sum() - 1
    assert inside.gradient_queries.unique().numel() == 1


def test_two_classes_have_no_targets_and_no_dlr() -> None:
    torch.manual_seed(0)
    net, x = nn.Linear(5, 2), torch.randn(10, 5)
    target = net(x).argmax(1)
    result = quick(Linf(0.2), "multiclass")(net, x, target)
    gap = (net.weight[0] - net.weight[1]).detach().abs().sum() * 0.2
    lead = (net(x)[:, 0] - net(x)[:, 1]).detach().abs()
    assert torch.equal(result.success, lead < gap)


def test_a_start_is_used_and_never_lost() -> None:
    net, x, target = problem("regression")
    start = quick(Linf(0.12), "regression")(net, x, target).perturbation
    again = quick(Linf(0.12), "regression", seed=4)(net, x, target, start=start)
    first = AbsoluteError()(net(x + start).detach(), target)
    assert (again.objective >= first - 1e-6).all()


@pytest.mark.parametrize(("task", "version"), [("music", "1.0"), ("regression", "0.9")])
def test_unknown_tasks_and_versions_are_refused(task, version) -> None:
    with pytest.raises(ValueError, match="knows the tasks"):
        AudioAutoAttack(Linf(0.1), task, version=version)
