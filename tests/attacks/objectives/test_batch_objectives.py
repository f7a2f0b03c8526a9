"""Objectives of a whole batch: values against SciPy and scikit-learn, damage, and coupled solvers."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    DDN,
    FGSM,
    FMN,
    L2,
    MIFGSM,
    NIFGSM,
    PGD,
    Linf,
    Noise,
    OutputLoss,
    SignAdam,
    Square,
    SquaredError,
    robust_curve,
)
from steadyear.attacks.objectives.batch import BatchCorrelation, ClassRanking
from steadyear.attacks.sanity import sanity_report
from steadyear.attacks.sanity.checks.gradient import finite_differences
from steadyear.attacks.sanity.protocol.context import CheckContext


def labels(clips: int, classes: int) -> Tensor:
    torch.manual_seed(4)
    return (torch.rand(clips, classes) < 0.4).double()


@pytest.mark.parametrize("output", [None, 2])
def test_batch_correlation_is_minus_the_mean_pearson_of_scipy(values, output) -> None:
    prediction, target = values
    outputs = range(4) if output is None else [output]
    expected = -np.mean([pearsonr(prediction[:, k], target[:, k]).statistic for k in outputs])
    found = BatchCorrelation(output)(prediction, target)
    assert found.shape == (9,)
    np.testing.assert_allclose(found, np.full(9, expected), rtol=1e-12)


def test_outputs_without_variation_count_as_zero(values) -> None:
    prediction, target = values
    constant = target.clone()
    constant[:, 1:] = 0.3
    found = BatchCorrelation()(prediction, constant)
    torch.testing.assert_close(found, BatchCorrelation(0)(prediction, target) / 4)
    flat = prediction.clone().fill_(0.5).requires_grad_()
    (slope,) = torch.autograd.grad(BatchCorrelation()(flat, target).sum(), flat)
    assert slope.isfinite().all()


def test_sharp_class_ranking_is_one_minus_the_average_precision_of_scikit_learn(
    values, monkeypatch
) -> None:
    monkeypatch.setattr("steadyear.attacks.objectives.batch._STEEPNESS", 1e6)
    logits, target = values[0], labels(9, 4)
    expected = 1 - average_precision_score(target, logits, average="macro")
    np.testing.assert_allclose(ClassRanking()(logits, target), np.full(9, expected), rtol=1e-9)


def test_class_ranking_leaves_out_classes_that_all_or_no_clips_have(values) -> None:
    logits, target = values[0], labels(9, 4)
    target[:, 0], target[:, 3] = 1, 0
    found = ClassRanking()(logits, target)
    torch.testing.assert_close(found, ClassRanking()(logits[:, 1:3], target[:, 1:3]))
    nothing = logits.clone().requires_grad_()
    value = ClassRanking()(nothing, torch.ones_like(target))
    assert (value == 0).all()
    (slope,) = torch.autograd.grad(value.sum(), nothing)
    assert (slope == 0).all()


def test_class_ranking_does_not_depend_on_the_scale_of_logits(values) -> None:
    logits, target = values[0], labels(9, 4)
    scale = torch.tensor([0.1, 1.0, 8.0, 100.0], dtype=torch.float64)
    found = ClassRanking()(scale * logits - 3, target)
    torch.testing.assert_close(found, ClassRanking()(logits, target))


@pytest.mark.parametrize("objective", [BatchCorrelation(), ClassRanking()])
def test_margins_are_the_growth_minus_the_tolerance_and_have_true_gradients(
    values, objective
) -> None:
    prediction, other = values
    target = labels(9, 4) if isinstance(objective, ClassRanking) else other.flip(0)
    growth = objective(prediction, target) - objective(other, target)
    margin = objective.margin(prediction, other, target)
    torch.testing.assert_close(margin, growth - 0.1)
    assert torch.equal(objective.success(prediction, other, target), margin > 0)
    inputs = prediction.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: objective.margin(p, other, target)[0], inputs)


def test_too_few_clips_are_refused() -> None:
    net = nn.Linear(5, 3)
    for clips in (1, 2):
        with pytest.raises(ValueError, match=rf"at least 3 of them, not {clips}: choose a batch"):
            PGD(Linf(0.1), BatchCorrelation())(net, torch.randn(clips, 5), torch.randn(clips, 3))
    with pytest.raises(ValueError, match="at least 2 of them, not 1"):
        PGD(Linf(0.1), ClassRanking())(net, torch.randn(1, 5), torch.ones(1, 3))


@functools.cache
def trained(multilabel: bool, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    time = torch.linspace(0, 6.28, 80)
    tones = torch.stack([torch.sin((2 + 4 * k) * time) for k in range(6)])
    if multilabel:
        target = (torch.rand(600, 6) < torch.linspace(0.4, 0.08, 6)).float()
        loudness = target * (0.3 + torch.rand(600, 6))
    else:
        target = loudness = torch.rand(600, 6)
    x = loudness @ tones + 0.5 * torch.randn(600, 80)
    net = nn.Sequential(
        nn.Linear(80, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 6)
    )
    loss = F.binary_cross_entropy_with_logits if multilabel else F.mse_loss
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(15):
        for some in torch.randperm(400).split(40):
            optimiser.zero_grad()
            loss(net(x[some]), target[some]).backward()
            optimiser.step()
    return net.eval(), x[400:528], target[400:528]


def attacked(case, objective) -> Tensor:
    """Predictions of all clips, attacked 32 at a time."""
    net, x, target = case
    attack = PGD(Linf(0.4), objective, steps=20)
    index = torch.arange(len(x))
    parts = [attack(net, x[i], target[i], index=i).output for i in index.split(32)]
    return torch.cat(parts)


def mean_pearson(prediction: Tensor, target: Tensor) -> float:
    return float(np.mean([pearsonr(prediction[:, k], target[:, k]).statistic for k in range(6)]))


@pytest.mark.parametrize("seed", [0, 1])
def test_class_ranking_hurts_cmap_more_than_the_cross_entropy(seed) -> None:
    case = trained(True, seed)
    net, x, target = case
    with torch.no_grad():
        scores = [net(x), attacked(case, OutputLoss()), attacked(case, ClassRanking())]
    clean, entropy, ranking = (average_precision_score(target, s, average="macro") for s in scores)
    assert clean - ranking > 1.2 * (clean - entropy) > 0.2


@pytest.mark.parametrize("seed", [0, 1])
def test_batch_correlation_hurts_pearson_more_than_the_squared_error(seed) -> None:
    case = trained(False, seed)
    net, x, target = case
    with torch.no_grad():
        clean = mean_pearson(net(x), target)
    squared = mean_pearson(attacked(case, SquaredError()), target)
    coupled = mean_pearson(attacked(case, BatchCorrelation()), target)
    assert clean - coupled > 1.2 * (clean - squared) > 0.2


SOLVERS = {
    "pgd": PGD(Linf(0.2), steps=5, restarts=3),
    "fgsm": FGSM(Linf(0.2)),
    "mi": MIFGSM(Linf(0.2), steps=5),
    "ni": NIFGSM(L2(1.0), steps=5),
    "apgd": APGD(Linf(0.2), steps=12, restarts=2),
    "square": Square(Linf(0.2), queries=60, until_success=True),
    "noise": Noise(Linf(0.2), tries=4),
}


@pytest.mark.parametrize("attack", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("objective", [BatchCorrelation(), ClassRanking()])
def test_solvers_attack_the_batch_as_one(attack, objective, monkeypatch) -> None:
    """What is returned was evaluated as it is: no mix of clips from different points."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4))
    x = torch.randn(8, 12)
    target = labels(8, 4).float() if isinstance(objective, ClassRanking) else torch.randn(8, 4)
    seen: list[Tensor] = []

    def model(clips: Tensor) -> Tensor:
        seen.append(clips.detach().clone())
        prediction: Tensor = net(clips)
        return prediction

    attack = attack.at(attack.ball.eps)
    attack.objective = objective
    result = attack(model, x, target, index=torch.arange(8))
    assert all(len(clips) == 8 for clips in seen)
    # The last pass is the measurement itself, FGSM asks nothing about its result.
    if not isinstance(attack, FGSM):
        gaps = [float((clips - result.adversarial).abs().max()) for clips in seen[1:-1]]
        assert min(gaps) < 1e-6
    assert len(result.objective.unique()) == 1
    assert len(result.success.unique()) == 1
    if not isinstance(attack, Noise):
        assert (result.objective > result.clean_objective).all()


@pytest.mark.parametrize(
    "make",
    [lambda o: FMN(L2(), o), lambda o: DDN(L2(), o), lambda o: SignAdam(o)],
    ids=["fmn", "ddn", "sign-adam"],
)
def test_attacks_that_decide_clip_by_clip_refuse_them(make) -> None:
    with pytest.raises(ValueError, match="decides about every clip alone, and ClassRanking"):
        make(ClassRanking())


@pytest.mark.parametrize("until_success", [False, True])
def test_curves_keep_the_batch_together(until_success) -> None:
    case = trained(False, 0)
    net, x, target = case
    attack = PGD(Linf(), BatchCorrelation(tolerance=0.05), steps=5)
    curve = robust_curve(
        attack, net, x[:16], target[:16], [0.01, 0.1, 0.3], until_success=until_success
    )
    assert set(curve.robust_rate.tolist()) == {0.0, 1.0}
    assert (curve.objective.diff(dim=0) >= 0).all()
    assert (curve.objective == curve.objective[:, :1]).all()


@pytest.mark.parametrize("multilabel", [False, True])
def test_sanity_checks_look_at_whole_batches(multilabel) -> None:
    net, x, target = trained(multilabel, 0)
    objective = ClassRanking() if multilabel else BatchCorrelation()
    attacks = {"pgd": PGD(Linf(), objective, steps=10)}
    report = sanity_report(net, x[:24], target[:24], attacks, [0.05, 0.1], "free", clips=4)
    names = ["artefact", "finite_differences", "zero_gradients", "noise", "single_step", "identity"]
    assert {name: str(report[name].status) for name in names} == dict.fromkeys(names, "PASS")


def test_slopes_of_a_coupled_value_belong_to_all_clips() -> None:
    net, x, target = trained(False, 1)
    attack = PGD(Linf(0.05), BatchCorrelation())
    case = CheckContext(
        "pgd",
        attack,
        copy.deepcopy(net).double(),
        x[:8].double(),
        target[:8].double(),
        torch.arange(8),
    )
    assert case.first(2) is case
    found = finite_differences(case)
    assert found is not None
    assert found["error"].max() < 1e-3
