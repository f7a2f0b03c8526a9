"""Objectives on the order of labels and on decisions about them; Huber, Shift, attacker targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    AbsoluteError,
    HideLabels,
    Huber,
    LabelMargin,
    Linf,
    MultiLabelDLR,
    OutputLoss,
    PairwiseRanking,
    ScaleFreeHinge,
    Shift,
    ShowLabels,
    SquaredError,
    TopK,
    Towards,
    WrongLabels,
)

EVERY = [
    PairwiseRanking(),
    MultiLabelDLR(),
    ScaleFreeHinge(),
    WrongLabels(),
    LabelMargin(),
    TopK(2),
    HideLabels(),
    HideLabels([1, 3]),
    ShowLabels([0, 4]),
]


@pytest.fixture
def values() -> tuple[Tensor, Tensor]:
    """Logits and labels; the first clip has no label, the second has all of them."""
    torch.manual_seed(0)
    target = (torch.rand(9, 6) > 0.6).double()
    target[0], target[1] = 0, 1
    return 2 * torch.randn(9, 6, dtype=torch.float64), target


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 6))
    x = torch.randn(12, 20)
    target = (net(x) > 0.1).float()
    target[:, 0] = 1
    return net, x, target


def test_pairwise_ranking_is_the_mean_over_pairs(values) -> None:
    z, y = values
    expected = []
    for logit, label in zip(z.numpy(), y.numpy(), strict=True):
        pairs = [np.log1p(np.exp(b - a)) for a in logit[label == 1] for b in logit[label == 0]]
        expected.append(np.mean(pairs) if pairs else 0.0)
    np.testing.assert_allclose(PairwiseRanking()(z, y), expected, rtol=1e-9)
    assert expected[0] == expected[1] == 0


def test_multi_label_dlr_written_out(values) -> None:
    z, y = values
    found = MultiLabelDLR()(z, y)
    for i, (logit, label) in enumerate(zip(z.numpy(), y.numpy(), strict=True)):
        loud = logit[label == 0].max() if (label == 0).any() else 0.0
        soft = logit[label == 1].min() if (label == 1).any() else 0.0
        assert found[i].item() == pytest.approx((loud - soft) / logit.std())


@pytest.mark.parametrize("objective", [MultiLabelDLR(), ScaleFreeHinge(), WrongLabels()])
def test_the_scale_of_the_logits_does_not_matter(values, objective) -> None:
    z, y = values
    torch.testing.assert_close(objective(50 * z, y), objective(z, y))
    # Nor do logits that are all equal break the gradient.
    flat = torch.zeros(1, 6, requires_grad=True)
    (slope,) = torch.autograd.grad(objective(flat, y[2:3].float()).sum(), flat)
    assert torch.isfinite(slope).all()


def test_the_smooth_hinge_is_the_cross_entropy_of_scaled_logits(values) -> None:
    z, y = values
    scaled = 3 * z / z.std(1, correction=0, keepdim=True)
    expected = F.binary_cross_entropy_with_logits(scaled, y, reduction="none").mean(1) / 3
    torch.testing.assert_close(ScaleFreeHinge(sharpness=3)(z, y), expected)


def test_wrong_labels_comes_close_to_their_share() -> None:
    z = torch.tensor([[2.0, -3.0, 1.0, -0.5]])
    y = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(WrongLabels(sharpness=1e4)(z, y), torch.tensor([0.5]))
    spread = z.std(correction=0)
    wrong = torch.tensor([-2.0, 3.0, 1.0, -0.5]) / spread
    torch.testing.assert_close(WrongLabels(sharpness=2)(z, y), (2 * wrong).sigmoid().mean()[None])


def test_label_margin_is_positive_where_a_label_is_wrong(values) -> None:
    z, y = values
    found = LabelMargin()(z, y)
    assert torch.equal(found > 0, ((z > 0) != (y > 0)).any(1))
    torch.testing.assert_close(found, ((1 - 2 * y) * z).max(1).values)


def test_top_k_succeeds_when_no_label_is_among_the_k_largest(values) -> None:
    z, y = values
    for k in (1, 2, 3):
        value, success = TopK(k)(z, y), TopK(k).success(z, z, y)
        for i in range(len(z)):
            among = bool(y[i, z[i].topk(k).indices].any())
            possible = bool(y[i].any()) and int((1 - y[i]).sum()) >= k
            assert success[i].item() == (possible and not among)
            if not possible:
                assert value[i] == 0


def test_hide_and_show_written_out(values) -> None:
    z, y = values
    off, on = F.logsigmoid(-z), F.logsigmoid(z)
    torch.testing.assert_close(HideLabels()(z, y), (off * y).sum(1))
    torch.testing.assert_close(HideLabels([1, 3])(z, y), (off * y)[:, [1, 3]].sum(1))
    torch.testing.assert_close(ShowLabels([0, 4])(z, y), on[:, [0, 4]].sum(1))
    shown = (z > 0) & (y > 0)
    hidden = ~shown.any(1) & (y > 0).any(1)
    assert torch.equal(HideLabels().success(z, z, y), hidden)
    assert torch.equal(ShowLabels([0, 4]).success(z, z, y), (z[:, [0, 4]] > 0).all(1))
    edge, one = torch.zeros(1, 2), torch.ones(1, 2)
    assert HideLabels().success(edge, edge, one).item()
    assert not ShowLabels([0]).success(edge, edge, one).item()


@pytest.mark.parametrize("objective", EVERY, ids=lambda o: type(o).__name__)
def test_values_and_margins_are_per_clip_with_true_gradients(values, objective) -> None:
    z, y = values
    objective.check(z, y)
    margin = objective.margin(z, z.roll(1, 0), y)
    for i in range(len(z)):
        torch.testing.assert_close(objective(z[i : i + 1], y[i : i + 1])[0], objective(z, y)[i])
        alone = objective.margin(z[i : i + 1], z.roll(1, 0)[i : i + 1], y[i : i + 1])
        torch.testing.assert_close(alone[0], margin[i])
    inputs = z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: objective.margin(p, z, y), inputs)
    if not isinstance(objective, ScaleFreeHinge | WrongLabels):  # it holds its spread constant
        assert torch.autograd.gradcheck(lambda p: objective(p, y), inputs)


@pytest.mark.parametrize("objective", EVERY, ids=lambda o: type(o).__name__)
def test_attacks_reach_what_they_aim_at(case, objective) -> None:
    net, x, target = case
    result = APGD(Linf(1.5), objective, steps=30)(net, x, target)
    possible = target[:, [1, 3]].any(1) if objective.__dict__.get("labels") == [1, 3] else None
    reached = result.success if possible is None else result.success[possible]
    assert reached.double().mean() > 0.9
    assert (result.objective >= result.clean_objective).all()


def test_hiding_and_showing_hurt_their_labels(case) -> None:
    net, x, target = case
    hidden = APGD(Linf(0.1), HideLabels(), steps=20)(net, x, target)
    change = hidden.output - hidden.clean_output
    # Logits of shown labels fall more than they do under the attack on all labels.
    every = APGD(Linf(0.1), OutputLoss(), steps=20)(net, x, target)
    plain = every.output - every.clean_output
    assert (change * target).sum() < (plain * target).sum() < 0
    shown = APGD(Linf(0.1), ShowLabels([5]), steps=20)(net, x, target)
    rise = (shown.output - shown.clean_output)[:, 5]
    assert (rise > 0).all()
    assert rise.mean() > plain[:, 5].mean()


def test_what_the_attacker_wants_in_the_form_of_the_targets() -> None:
    z = torch.tensor([[2.0, -1.0, 0.5], [-1.0, -1.0, -1.0]])
    shown = [[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]
    assert ShowLabels([1]).attacker_target(z).tolist() == shown
    hidden = [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert HideLabels([0]).attacker_target(z).tolist() == hidden
    assert HideLabels().attacker_target(z) is None
    assert Towards(0.3).attacker_target(z).tolist() == torch.full((2, 3), 0.3).tolist()
    aim = Towards([0.1, 0.2, 0.3]).attacker_target(z)
    assert aim.tolist() == torch.tensor([[0.1, 0.2, 0.3]] * 2).tolist()
    assert Towards(0.3, output=1).attacker_target(z) is None
    assert not hasattr(OutputLoss(), "attacker_target")


@pytest.mark.parametrize("output", [None, 2])
@pytest.mark.parametrize("delta", [0.1, 1.0])
def test_huber_is_that_of_torch(values, output, delta) -> None:
    a, b = values
    chosen = slice(None) if output is None else [output]
    expected = F.huber_loss(a[:, chosen], b[:, chosen], reduction="none", delta=delta).mean(1)
    torch.testing.assert_close(Huber(output, delta=delta)(a, b), expected)
    assert Huber().stationary_at(a, a)
    same = SquaredError(output).margin(a, b, b)
    assert torch.equal(Huber(output, delta=delta).margin(a, b, b), same)


def test_huber_with_a_small_delta_is_the_absolute_error(values) -> None:
    a, b = values
    torch.testing.assert_close(
        Huber(delta=1e-6)(a, b) / 1e-6, AbsoluteError()(a, b), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("down", [False, True])
def test_shift_moves_the_mean(values, down) -> None:
    a, b = values
    sign = -1 if down else 1
    torch.testing.assert_close(Shift(down=down)(a, b), sign * (a - b).mean(1))
    torch.testing.assert_close(Shift(1, down=down)(a, b), sign * (a - b)[:, 1])
    found = Shift(tolerance=0.2, down=down).success(a, b, a)
    assert torch.equal(found, sign * (a - b).mean(1) > 0.2)
    # It has a gradient at the model's own prediction.
    net = nn.Linear(4, 3)
    result = APGD(Linf(0.5), Shift(down=down, tolerance=0.0), steps=5)(net, torch.randn(5, 4))
    assert result.success.all()
    assert not Shift().stationary_at(a, a)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ShowLabels([]), "ShowLabels needs numbers"),
        (lambda: ShowLabels([-1]), "ShowLabels needs numbers"),
        (lambda: HideLabels([]), "HideLabels needs numbers"),
        (lambda: TopK(0), "at least k=1"),
        (lambda: ScaleFreeHinge(0.0), "above 0"),
        (lambda: WrongLabels(0.0), "above 0"),
        (lambda: Huber(delta=0.0), "above 0"),
        (lambda: ShowLabels([6]).check(torch.zeros(2, 6), torch.zeros(2, 6)), "names label 6"),
        (lambda: HideLabels([6]).check(torch.zeros(2, 6), torch.zeros(2, 6)), "names label 6"),
        (lambda: TopK(6).check(torch.zeros(2, 6), torch.zeros(2, 6)), "more than 6 labels"),
        (lambda: PairwiseRanking().check(torch.zeros(2, 6), torch.zeros(2)), "from 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(make, match) -> None:
    with pytest.raises(ValueError, match=match):
        make()
