"""Every broken defence is caught by the check that is meant for it; a healthy model is not."""

from __future__ import annotations

import copy
import json
import math
from functools import partial

import pytest
import torch
from torch import nn

from steadyear.attacks import (
    FGSM,
    L2,
    PGD,
    AbsoluteError,
    CrossEntropy,
    Linf,
    Noise,
    OutputLoss,
    SignAdam,
    SquaredError,
)
from steadyear.attacks.sanity import CHECKS, Sanity, Status, sanity_report
from steadyear.attacks.sanity.report import judged
from tests.attacks import broken_defences as broken
from tests.attacks.broken_defences import clips, trained

BUDGETS = [0.1, 0.3]
TASKS = ("regression", "classes", "labels")


@pytest.fixture(scope="module")
def networks():
    return {task: trained(task) for task in TASKS}


def objective(task):
    return {"regression": SquaredError, "classes": CrossEntropy, "labels": OutputLoss}[task]()


def target(task):
    x = clips()
    if task == "classes":
        return broken.class_target(x)
    y = broken.real_target(x)
    return (y > 0).float() if task == "labels" else y


def check(model, task="regression", level="free", attack=None, budgets=BUDGETS, **more):
    attack = attack or PGD(Linf(), objective(task), steps=10)
    x = clips()
    return sanity_report(model, x, target(task), {"a": attack}, budgets, level, **more)


def names(report, status):
    return {verdict.name for verdict in report.of(status)}


@pytest.mark.parametrize(("task", "ball"), [*((t, Linf) for t in TASKS), ("regression", L2)])
def test_nothing_fails_on_a_healthy_model(networks, task, ball):
    scale = 1 if ball is Linf else math.sqrt(80)
    attack = PGD(ball(), objective(task), steps=20, relative_step=0.15)
    others = {"sibling": trained(task, steps=30)}
    report = check(
        networks[task],
        task,
        "full",
        attack,
        [scale * b for b in BUDGETS],
        others=others,
        clips=8,
    )
    assert names(report, Status.FAIL) == set(), str(report)
    assert report.label == ""
    made = {verdict.name for verdict in report.verdicts}
    absent = {"twin", "worst_case", "catastrophic_overfitting"}
    assert made == set(CHECKS) - absent, str(report)


def test_waveforms_through_a_front_end_are_healthy():
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(17, 2)

        def forward(self, wave):
            window = torch.hann_window(32)
            power = torch.stft(wave, 32, 16, window=window, return_complex=True).abs().square()
            return self.head((power + 1e-3).log().mean(2)).tanh()

    wave = 0.1 * torch.randn(8, 400)
    attacks = {"pgd": PGD(Linf(), steps=20, relative_step=0.15), "fgsm": FGSM(Linf())}
    report = sanity_report(Net().eval(), wave, torch.randn(8, 2), attacks, [1e-3, 1e-2], "free")
    assert names(report, Status.FAIL) == set(), str(report)


DEFENCES = [
    (broken.Rounded, "regression", {"zero_gradients"}),
    (broken.RoundedInside, "regression", {"finite_differences"}),
    (broken.SaturatedOutput, "regression", {"zero_gradients"}),
    (broken.HugeLogits, "classes", {"zero_gradients"}),
    (broken.HugeLogits, "labels", {"zero_gradients"}),
    (broken.Noisy, "regression", {"determinism", "finite_differences", "clean_score"}),
    (broken.Detached, "regression", {"graph"}),
    (broken.HalfDetached, "regression", {"finite_differences"}),
    (broken.TrainsItself, "regression", {"eval_mode", "determinism", "batch_invariance"}),
    (broken.TopDbOverTheBatch, "regression", {"batch_invariance"}),
]


@pytest.mark.parametrize(
    ("defence", "task", "caught"), DEFENCES, ids=[f"{d.__name__}-{t}" for d, t, _ in DEFENCES]
)
def test_a_broken_defence_is_caught(networks, defence, task, caught):
    report = check(defence(copy.deepcopy(networks[task])).eval(), task)
    assert caught <= names(report, Status.FAIL), str(report)
    assert report.label == "upper bound only"


@pytest.mark.parametrize("defence", [broken.Rounded, broken.SaturatedOutput])
def test_full_checks_see_masked_gradients_too(networks, defence):
    model = defence(networks["regression"]).eval()
    report = check(model, level="full", budgets=[0.3], clips=8)
    found = names(report, Status.FAIL)
    assert {"black_box", "planted"} <= found, str(report)


def test_a_search_by_decisions_sees_huge_logits(networks):
    model = broken.HugeLogits(networks["classes"]).eval()
    report = check(model, "classes", "full", budgets=[0.3], clips=8)
    assert {"hard_label", "black_box", "unbounded"} <= names(report, Status.FAIL), str(report)


def test_steps_of_rounding_are_named(networks):
    report = check(broken.RoundedInside(networks["regression"]).eval())
    assert report["graph"].status is Status.WARN
    assert report["graph"].finding.value == 1


@pytest.mark.parametrize(
    "hide", [lambda m: lambda x: m(x), lambda m: partial(m), lambda m: m.forward]
)
def test_train_mode_is_seen_through_a_function(hide):
    network = copy.deepcopy(trained()).train()
    report = check(hide(network), budgets=[0.1])
    assert report["eval_mode"].status is Status.FAIL
    assert report["eval_mode"].finding.value >= 2
    assert network.training


def attack(kind, ball=Linf):
    return kind(ball(), steps=10)


@pytest.mark.parametrize(
    ("attack", "caught"),
    [
        (PGD(broken.DiscardedClip(), steps=10), {"budget"}),
        (broken.Unprojected(Linf(), steps=10), {"budget"}),
        (broken.GivesBackTheLast(Linf(), steps=10), {"silent_success"}),
        (broken.WrongWay(Linf(), steps=10), {"loss_rises", "noise", "single_step"}),
        (broken.Forgetful(Linf(), steps=10), {"identity"}),
    ],
    ids=["ball", "apply", "half", "descent", "forgetful"],
)
def test_a_broken_attack_is_caught(networks, attack, caught):
    report = check(networks["regression"], attack=attack)
    assert caught <= names(report, Status.FAIL), str(report)


def test_few_steps_are_seen(networks):
    weak = PGD(Linf(), steps=10, relative_step=0.02, random_start=False)
    report = check(networks["regression"], "regression", "full", weak, [0.3], clips=8)
    assert {"converged", "more_steps", "single_step", "textbook"} <= names(report, Status.FAIL)
    assert report["more_steps"].finding.value > 0.5


def test_stale_outputs_are_seen(networks):
    model, x, y = networks["regression"], clips(), target("regression")
    sanity = Sanity({"a": PGD(Linf())}, [0.1])
    sanity.begin(model, x, y, torch.arange(len(x)))
    cell = PGD(Linf(0.1))
    result = cell(model, x, y)
    stale = type(result)(**{**vars(result), "output": result.clean_output})
    sanity.observe("a", cell, [], stale, model, x, y, torch.arange(len(x)))
    assert sanity.report()["artefact"].status is Status.FAIL
    claimed = type(result)(**{**vars(result), "success": ~result.success})
    sanity = Sanity({"a": cell}, [0.1])
    sanity.begin(model, x, y, torch.arange(len(x)))
    sanity.observe("a", cell, [], claimed, model, x, y, torch.arange(len(x)))
    assert sanity.report()["artefact"].status is Status.FAIL


def test_transfer_and_twin(networks):
    masked = broken.Rounded(networks["regression"]).eval()
    report = check(
        masked,
        level="full",
        budgets=[0.3],
        clips=8,
        others={"bare": networks["regression"]},
        twin=masked,
    )
    assert report["transfer"].status is Status.FAIL
    assert report["twin"].status is Status.FAIL
    strong = check(
        networks["regression"], level="full", budgets=[2.0], clips=8, twin=networks["regression"]
    )
    assert strong["twin"].status is Status.PASS


def test_a_curve_that_falls_is_seen(networks):
    class WeakerWhenLarge(PGD):
        def solve(self, query, rng):
            share = 1.0 if self.ball.eps < 0.2 else 0.05
            return share * super().solve(query, rng)

    report = check(networks["regression"], attack=WeakerWhenLarge(Linf(), steps=10))
    assert report["monotone"].status is Status.FAIL
    assert report["monotone"].finding.where == "a@0.3"


def test_probabilities_and_labels_left(networks):
    soft = torch.nn.Sequential(networks["classes"], torch.nn.Softmax(1)).eval()
    assert check(soft, "classes")["output_type"].status is Status.WARN
    assert check(networks["classes"], "classes")["output_type"].status is Status.PASS
    far = check(networks["regression"], budgets=[5.0])["output_type"]
    assert far.status is Status.WARN
    assert far.finding.value > 0.5


def test_half_precision_scores_are_seen(networks):
    class Half(broken.Around):
        def forward(self, x):
            return self.network(x).bfloat16()

    report = check(Half(networks["regression"]).eval(), budgets=[0.3])
    assert report["precision"].status is Status.FAIL
    bf16 = check(
        networks["regression"],
        attack=PGD(Linf(), steps=10, precision="bf16"),
        budgets=[0.3],
    )
    assert bf16["precision"].status is Status.PASS


def test_attacks_without_budget_or_aim(networks):
    model, x, y = networks["regression"], clips(), target("regression")
    attacks = {"noise": Noise(Linf()), "adam": SignAdam(steps=20)}
    sanity = Sanity(attacks, BUDGETS)
    sanity.begin(model, x, y, torch.arange(len(x)))
    for name, cell in (("noise", Noise(Linf(0.1))), ("adam", SignAdam(steps=20))):
        seen, path = sanity.watch(cell)
        result = seen(model, x, y)
        sanity.observe(name, cell, path, result, model, x, y, torch.arange(len(x)))
    report = sanity.report()
    assert names(report, Status.FAIL) == set(), str(report)
    assert {"loss_rises", "single_step", "noise"} <= {s.name for s in report.skipped}


def test_watching_changes_nothing(networks):
    model, x, y = networks["regression"], clips(), target("regression")
    cell = PGD(Linf(0.1), steps=4)
    seen, path = Sanity({"a": cell}, [0.1]).watch(cell)
    plain, watched = (a(model, x, y, index=torch.arange(len(x))) for a in (cell, seen))
    assert torch.equal(plain.adversarial, watched.adversarial)
    assert len(path) == 4
    assert type(cell.objective) is SquaredError
    assert isinstance(seen.objective, SquaredError)


def test_a_path_of_some_of_the_clips_says_nothing(networks):
    """With four starts of four clips any number of clips that is left looks like a whole batch."""
    model, x, y, index = (
        networks["regression"],
        clips()[:4],
        target("regression")[:4],
        torch.arange(4),
    )

    def attack(tolerance, until_success=True):
        objective = AbsoluteError(tolerance=tolerance)
        return PGD(Linf(0.1), objective, steps=12, restarts=4, until_success=until_success)

    found = attack(0.0, until_success=False)(model, x, y, index=index)
    half = attack(float((found.objective - found.clean_objective).median()) * 0.99)
    for cell, known in ((half, False), (attack(1e6), True)):
        sanity = Sanity({"a": cell}, [0.1])
        sanity.begin(model, x, y, index)
        seen, path = sanity.watch(cell)
        sanity.observe("a", cell, path, seen(model, x, y, index=index), model, x, y, index)
        assert all(len(values) % 4 == 0 for values in path)
        skipped = {skip.name for skip in sanity.report().skipped}
        assert ("silent_success" not in skipped) == known


def test_the_model_and_the_random_state_are_left_alone(networks):
    model = broken.Noisy(networks["regression"]).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    sanity = Sanity({"a": PGD(Linf())}, [0.1])
    sanity.begin(model, clips(), target("regression"), torch.arange(24))
    assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(3)))
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_records_of_two_processes_are_one_evaluation(networks):
    model, x, y = networks["regression"], clips(), target("regression")
    cell = PGD(Linf(0.1), steps=8)
    parts = []
    for half in (torch.arange(0, 14), torch.arange(10, 24)):  # some clips came twice
        sanity = Sanity({"a": cell}, [0.1])
        for batch in half.split(7):
            sanity.begin(model, x[batch], y[batch], batch)
            seen, path = sanity.watch(cell)
            result = seen(model, x[batch], y[batch], index=batch)
            sanity.observe("a", cell, path, result, model, x[batch], y[batch], batch)
        parts += json.loads(json.dumps(sanity.records))
    whole = check(model, attack=PGD(Linf(), steps=8), budgets=[0.1])
    for name in ("loss_rises", "converged", "monotone", "budget"):
        found, expected = judged(parts, "free")[name], whole[name]
        assert found.finding.value == pytest.approx(expected.finding.value, rel=1e-3)
        assert found.status is expected.status


def test_a_check_that_cannot_be_made_says_so(networks):
    class OneSize(broken.Around):
        def forward(self, x):
            if len(x) != 24:
                raise RuntimeError("this network wants 24 clips\nand says so at length")
            return self.network(x)

    report = check(OneSize(networks["regression"]).eval(), budgets=[0.1])
    verdict = report["determinism"]
    assert verdict.status is Status.WARN
    assert "this network wants 24 clips" in verdict.finding.says
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert plain["level"] == "free"
    assert sum(plain["counts"].values()) == len(plain["checks"]) == len(report.verdicts)
    assert {c["number"] for c in plain["checks"] + plain["skipped"]} == {*range(1, 25), 26}


def test_unknown_levels_are_refused():
    with pytest.raises(ValueError, match="'all'"):
        Sanity({}, [], "all")


def test_watching_leaves_no_second_class_of_an_objectives_name():
    """Configurations look objectives up by the names of subclasses."""
    torch.manual_seed(0)
    model, x, target = nn.Linear(4, 2), torch.randn(4, 4), torch.randn(4, 2)
    attack = PGD(Linf(0.1), SquaredError(), steps=2)
    sanity_report(model, x, target, {"pgd": attack}, [0.1], "free")
    known = [SquaredError]
    for kind in known:
        known += kind.__subclasses__()
    assert [kind.__name__ for kind in known].count("SquaredError") == 1
