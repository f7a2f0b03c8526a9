"""AudioAutoAttack: at least as strong as its members, its cost, and who is attacked by whom."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    DLR,
    FMN,
    L1,
    L2,
    SNR,
    AbsoluteError,
    AudioAutoAttack,
    CrossEntropy,
    LabelMargin,
    Linf,
    Margin,
    OutputLoss,
    Square,
    SquaredError,
    View,
)
from steadyear.attacks.ensembles.objectives import LossBeyondSuccess
from steadyear.attacks.ensembles.plans import PLANS
from steadyear.attacks.ensembles.worst_case import WorstCase

TASKS = ("regression", "multilabel", "multiclass")
TASK = pytest.mark.parametrize("task", TASKS)
VERSION = pytest.mark.parametrize(
    ("version", "worst"),
    [("1.0-quick", "success"), ("1.1-quick", "success"), ("1.1-quick", "damage")],
)
BALL = pytest.mark.parametrize("ball", [Linf, L2])
TOLERANCE = 0.15


def quick(ball, task, **more) -> AudioAutoAttack:
    return AudioAutoAttack(ball, task, TOLERANCE, **{"version": "1.1-quick", **more})


def case_of(task: str) -> tuple[nn.Module, Tensor, Tensor]:
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
    case, index = case_of(task), torch.arange(24)
    plan = PLANS["1.1-quick"]
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
    fmn = FMN(budget(ball, task), found_by(task), steps=plan.steps, shrink_steps=plan.bisections)
    searched = {"multilabel": LabelMargin(), "multiclass": Margin()}.get(task, found_by(task))
    for attack in (fmn, Square(budget(ball, task), searched, queries=plan.queries)):
        single = attack(*case, index=index)
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


class Asked(nn.Module):
    """Counts what is asked: clips with gradient and without."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.seen = net, [0, 0]

    def forward(self, x: Tensor) -> Tensor:
        self.seen[not (x.requires_grad and torch.is_grad_enabled())] += len(x)
        return self.net(x)


@TASK
@VERSION
@pytest.mark.parametrize("ball", [Linf, SNR])
def test_cost_is_what_a_clip_pays_that_resists_everything(task, ball, version, worst) -> None:
    net, x, target = case_of(task)
    attack = quick(ball(1e-7), task, version=version, worst=worst)
    if task == "regression":
        target = net(x).detach() + 1
    asked = Asked(net)
    result = attack(asked, x, target)
    assert not result.success.any()
    # A clip that resists everything is not continued.
    on = version != "1.0-quick" and worst == "success"
    steps, cost = PLANS[version].steps, attack.cost
    assert result.gradient_queries.unique().tolist() == [cost.gradient_queries - on * steps]
    assert result.forward_queries.unique().tolist() == [cost.forward_queries - on * 2]
    assert asked.seen[0] == result.gradient_queries.sum()
    # Two that every attack is measured by, and some clips that the folded model is checked with.
    assert 2 * len(x) <= asked.seen[1] - result.forward_queries.sum() <= 3 * len(x)


@TASK
@VERSION
def test_cost_is_reached_where_all_clips_go_all_the_way(task, version, worst) -> None:
    net, x, target = case_of(task)
    model = nn.Sequential(nn.Identity(), net)
    attack = quick(budget(Linf, task), task, version=version, worst=worst, view=View("0"))
    result = attack(model, x, target)
    assert result.success.any()
    assert result.gradient_queries.unique().tolist() == [attack.cost.gradient_queries]
    assert result.forward_queries.unique().tolist() == [attack.cost.forward_queries]


@TASK
def test_clips_that_fall_early_cost_the_ascents_for_everyone(task) -> None:
    net, x, target = case_of(task)
    attack = quick(Linf(3.0), task, version="1.0-quick")
    result = attack(net, x, target)
    assert result.success.all()
    steps = PLANS["1.0-quick"].steps
    assert (result.gradient_queries == 2 * steps).all()
    assert (result.forward_queries == 4).all()
    assert attack.cost.gradient_queries > 2 * steps
    ascents = {"regression": 2, "multilabel": 1, "multiclass": 1}[task]
    result = quick(Linf(3.0), task)(net, x, target)
    assert result.success.all()
    assert (result.gradient_queries == ascents * steps).float().mean() > 0.7
    # Others have success at a point of less damage than was seen.
    assert (result.gradient_queries <= (ascents + 1) * steps).all()


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("regression", (10, 1920, 3070, 0.172352)),
        ("multilabel", (5, 2500, 4145, 3.626221)),
        ("multiclass", (9, 2160, 3291, 1.522489)),
    ],
)
def test_the_first_version_does_what_it_did_when_it_was_published(task, found) -> None:
    net, x, target = case_of(task)
    target = target.double() if target.is_floating_point() else target
    attack = quick(Linf(EPS[task]), task, version="1.0-quick")
    result = attack(net.double(), x.double(), target, index=torch.arange(24))
    counts = (result.success, result.gradient_queries, result.forward_queries)
    assert tuple(int(count.sum()) for count in counts) == found[:3]
    assert result.objective.mean().item() == pytest.approx(found[3], abs=1e-6)


def test_costs_are_those_of_the_version() -> None:
    first = partial(AudioAutoAttack, version="1.0")
    assert first(Linf(0.1), "multiclass").cost == (1200, 22 + 11 + 5001)
    assert first(Linf(0.1), "regression").cost == (500, 8 + 11 + 5001)
    assert first(SNR(0.1), "regression").cost == (500, 8 + 11)
    assert quick(Linf(0.1), "multilabel", version="1.0-quick").cost == (120, 10 + 6 + 201)
    assert AudioAutoAttack(Linf(0.1), "multiclass").cost == (1500, 28 + 11 + 5001)
    assert AudioAutoAttack(L1(0.1), "regression").cost == (600, 10 + 11 + 5003)
    assert AudioAutoAttack(SNR(0.1), "multilabel", worst="damage").cost == (400, 8 + 5003)


def test_a_clip_does_not_depend_on_its_batch_where_some_fall_and_some_resist() -> None:
    net, x, target = case_of("multiclass")
    net, x = net.double(), x.double()
    index = torch.arange(24)
    attack = quick(Linf(0.08), "multiclass")
    whole = attack(net, x, target, index=index)
    part = attack(net, x[5:9], target[5:9], index=index[5:9])
    assert whole.gradient_queries.unique().numel() > 1
    torch.testing.assert_close(part.adversarial, whole.adversarial[5:9], atol=1e-9, rtol=0)
    assert torch.equal(part.gradient_queries, whole.gradient_queries[5:9])


def test_inside_a_model_every_clip_is_asked_for_together() -> None:
    net, x, target = case_of("multiclass")
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
    net, x, target = case_of("regression")
    start = quick(Linf(0.12), "regression")(net, x, target).perturbation
    again = quick(Linf(0.12), "regression", seed=4)(net, x, target, start=start)
    first = AbsoluteError()(net(x + start).detach(), target)
    assert (again.objective >= first - 1e-6).all()


@TASK
def test_damage_is_that_of_no_member_alone_and_at_least_that_of_success(task) -> None:
    (net, x, target), index = case_of(task), torch.arange(24)
    if task == "multilabel":
        # Labels that the model gets wrong are where the two questions part.
        target = (target + (torch.rand(24, 6) < 0.3)) % 2
    case, ball = (net, x, target), budget(Linf, task)
    damage = quick(ball, task, worst="damage")(*case, index=index)
    steps = PLANS["1.1-quick"].steps
    start = torch.zeros_like(x)
    found = quick(ball, task, worst="damage")(*case, index=index, start=start)
    single = APGD(ball, found_by(task), steps=steps)(*case, index=index, start=start)
    assert (found.objective >= single.objective - 1e-5).all()
    assert (found.objective > single.objective + 1e-5).any()
    success = quick(ball, task)(*case, index=index)
    lost = damage.objective - success.objective
    assert lost.mean() > -1e-3
    only = success.success & ~damage.success
    if task == "regression":  # more damage is success
        assert only.sum() <= 1
    else:
        assert only.any()
        assert (lost[only] > 0).all()


def test_success_goes_before_damage_only_where_it_is_asked_for() -> None:
    x, clean = torch.zeros(2, 1), torch.tensor([[0.5, 3.0], [-0.5, 3.0]])
    target = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    everyone = torch.arange(2)
    # Putting a wrong label right is a success that lowers the loss.
    right, worse = torch.tensor([[-0.5, 3.0], [0.5, 3.0]]), torch.tensor([[2.0, 1.0], [-0.4, 0.1]])
    for success_first in (True, False):
        worst = WorstCase(OutputLoss(), x, clean, target, success_first)
        worst.take(torch.ones(2, 1), right, everyone)
        worst.take(2 * torch.ones(2, 1), worse, everyone)
        kept = [1.0, 1.0] if success_first else [2.0, 2.0]
        assert worst.perturbation[:, 0].tolist() == kept
        assert worst.success.tolist() == [success_first] * 2
        torch.testing.assert_close(worst.largest, OutputLoss()(worse, target))


def test_going_on_with_success_never_pays_for_losing_it() -> None:
    clean = torch.tensor([[1.0, -2.0]]).expand(40, 2)
    labels = torch.tensor([[1.0, 1.0]]).expand(40, 2)
    z = 6 * torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) - 3
    objective, target = LossBeyondSuccess(OutputLoss()), torch.stack([labels, clean], 1)
    hit = ((z > 0) != (clean > 0)).any(1)
    value = objective(z, target)
    assert 0 < hit.sum() < 40
    assert value[hit].min() > value[~hit].max()
    torch.testing.assert_close(value[hit], OutputLoss()(z, labels)[hit])
    assert torch.equal(objective.success(z, clean, target), hit)


def test_clips_that_broke_late_are_continued() -> None:
    case, index = case_of("multilabel"), torch.arange(24)
    ball, plan = Linf(EPS["multilabel"]), PLANS["1.1-quick"]
    on = quick(ball, "multilabel")(*case, index=index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLANS, "1.1-quick", plan._replace(further=False))
        off = quick(ball, "multilabel")(*case, index=index)
    assert torch.equal(on.success, off.success)
    more = on.gradient_queries > off.gradient_queries
    assert 0 < more.sum() < 24
    assert on.success[more].all()
    assert (on.objective >= off.objective - 1e-5).all()
    assert (on.objective > off.objective + 1e-3).any()


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_ascents_that_seek_success_end_with_it(task) -> None:
    case, index = case_of(task), torch.arange(24)
    plan = PLANS["1.1-quick"]._replace(further=False)
    found = []
    for until_success in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PLANS, "1.1-quick", plan._replace(until_success=until_success))
            found.append(quick(Linf(EPS[task]), task)(*case, index=index))
    ending, going = found
    assert torch.equal(ending.success, going.success)
    assert ending.gradient_queries.sum() < going.gradient_queries.sum()


class Stairs(nn.Module):
    """A network whose gradient is zero: everything is rounded."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return (40 * self.net(x)).round() / 40 + 0 * x.sum()


@TASK
@pytest.mark.parametrize("ball", [L1(2.0), SNR(0.3)])
def test_masked_gradients_are_noticed_in_balls_that_square_does_not_know(task, ball) -> None:
    net, x, target = case_of(task)
    masked = quick(ball, task)(Stairs(net), x, target)
    blind = quick(ball, task, version="1.0-quick")(Stairs(net), x, target)
    assert masked.success.sum() > blind.success.sum() + 1


def test_the_first_version_knows_success_only() -> None:
    with pytest.raises(ValueError, match=r"worst of version 1\.0 is by success"):
        AudioAutoAttack(Linf(0.1), version="1.0", worst="damage")


@pytest.mark.parametrize(("task", "version"), [("music", "1.0"), ("regression", "0.9")])
def test_unknown_tasks_and_versions_are_refused(task, version) -> None:
    with pytest.raises(ValueError, match="knows the tasks"):
        AudioAutoAttack(Linf(0.1), task, version=version)
