"""Transfer: found on one model, measured on another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadyear.attacks import FMN, L2, PGD, EmbeddingDissimilarity, Linf, SquaredError, View
from steadyear.attacks.ensembles.transfer import Transfer
from steadyear.attacks.sanity.protocol.watch import watched


@pytest.fixture
def case() -> tuple[nn.Linear, nn.Linear, Tensor, Tensor]:
    torch.manual_seed(0)
    source, model = nn.Linear(20, 3), nn.Linear(20, 3)
    with torch.no_grad():
        model.weight.copy_(source.weight + 0.05 * torch.randn(3, 20))
    return source, model, torch.randn(7, 20), torch.randn(7, 3)


@pytest.mark.parametrize("keyed", ["index", "generator", "seed"])
def test_hands_over_what_the_inner_attack_finds_on_the_source(case, keyed) -> None:
    source, model, x, target = case
    attack = PGD(Linf(0.1), steps=4, seed=3)

    def keys() -> dict[str, object]:
        found = {"index": torch.arange(7), "generator": torch.Generator().manual_seed(8)}
        return {keyed: found[keyed]} if keyed in found else {}

    result = Transfer(source, attack)(model, x, target, **keys())
    expected = attack(source, x, target, **keys())
    torch.testing.assert_close(result.adversarial, expected.adversarial, rtol=0, atol=1e-6)
    torch.testing.assert_close(result.output, model(result.adversarial))
    torch.testing.assert_close(result.clean_output, model(x))
    assert (result.objective > result.clean_objective).all()
    own = attack(model, x, target, **keys())
    assert (result.objective < own.objective).any()


def test_nothing_is_asked_of_the_attacked_model(case) -> None:
    source, model, x, target = case
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    result = Transfer(source, PGD(L2(0.1), steps=4))(model, x, target)
    assert len(calls) == 2  # the clean clips and the result
    assert not result.gradient_queries.any()
    assert not result.forward_queries.any()


def test_who_watches_the_attack_does_not_see_the_path_on_the_source(case) -> None:
    source, model, x, target = case
    watcher, path = watched(Transfer(source, PGD(L2(0.1), steps=4)))
    watcher(model, x, target)
    assert path == []


def test_another_budget_and_a_start_reach_the_inner_attack(case) -> None:
    source, model, x, target = case
    attack = Transfer(source, PGD(Linf(0.1), steps=1, relative_step=0.0))
    result = attack.at(0.02)(model, x, target, start=torch.full_like(x, 0.01))
    torch.testing.assert_close(result.size, torch.full((7,), 0.01), rtol=1e-4, atol=0)
    assert attack.attack.ball.eps == 0.1


def test_without_a_target_the_source_is_led_away_from_the_attacked_model(case) -> None:
    source, model, x, _ = case
    attack = PGD(L2(0.1), steps=4)
    result = Transfer(source, attack)(model, x)
    with torch.no_grad():
        expected = attack(source, x, model(x))
    torch.testing.assert_close(result.adversarial, expected.adversarial, rtol=0, atol=1e-6)


def test_both_models_keep_their_mode(case) -> None:
    source, model, x, target = case
    source, model = (nn.Sequential(m, nn.Dropout(0.5)) for m in (source, model))
    source.train()
    model.eval()
    first, second = (Transfer(source, PGD(L2(0.1)))(model, x, target) for _ in range(2))
    assert source.training
    assert not model.training
    assert torch.equal(first.adversarial, second.adversarial)


def test_embeddings_are_compared_with_those_of_the_source(case) -> None:
    source, model, x, _ = case
    objective = EmbeddingDissimilarity()
    result = Transfer(source, PGD(L2(0.5), objective))(model, x)
    assert (result.objective > result.clean_objective).all()


def test_what_cannot_be_handed_over_is_refused(case) -> None:
    source = case[0]
    with pytest.raises(TypeError, match="spends its budget"):
        Transfer(source, FMN(L2(), SquaredError()))
    with pytest.raises(ValueError, match="input of both models"):
        Transfer(source, PGD(L2(0.1), view=View(perturb_at="0")))
