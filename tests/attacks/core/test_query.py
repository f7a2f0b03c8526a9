"""Queries within queries: everything is counted for its clip, and seen by who observes."""

from __future__ import annotations

import pytest
import torch

from steadyear.attacks import L2, PGD, Linf, SquaredError
from steadyear.attacks.core.query import Query
from steadyear.attacks.core.threat import ThreatModel
from steadyear.attacks.ensembles.worst_case import Member, WorstCase, run_member
from steadyear.foundation.random_streams import RandomStreams

CLIPS = 4


def wavy(x):
    """Many local maxima: another start finds another one."""
    return torch.sin(9 * x).sum(1, keepdim=True) + x.sum(1, keepdim=True)


@pytest.fixture
def query() -> Query:
    x = torch.linspace(-1, 1, 3 * CLIPS, dtype=torch.float64).reshape(CLIPS, 3)
    target = torch.zeros(CLIPS, 1, dtype=torch.float64)
    return Query(wavy, x, target, ThreatModel(L2(1.0)), SquaredError())


def test_a_selection_that_is_repeated_counts_for_its_clips(query):
    some = query.select(torch.tensor([1, 3])).repeat(2)
    some.predict(torch.zeros_like(some.x))
    some.gradient(torch.zeros_like(some.x))
    some.gradient(torch.zeros_like(some.x[:1]), torch.tensor([3]))
    assert query.forward_queries.tolist() == [0, 1 * 2, 0, 1 * 2]
    assert query.gradient_queries.tolist() == [0, 2, 0, 3]


def test_averages_count_every_evaluation(query):
    some = query.select(torch.tensor([2])).average(3)
    some.value(torch.zeros_like(some.x))
    assert query.forward_queries.tolist() == [0, 0, 3, 0]


def test_what_is_not_finite_is_noted_for_its_clip(query):
    query.forward = query.gradient_forward = lambda x: 1 / (x - query.x[2]).square().sum(1, True)
    repeated = query.select(torch.tensor([0, 2])).repeat(2)
    repeated.gradient(torch.zeros_like(repeated.x))
    assert query.is_finite.tolist() == [True, True, False, True]


def test_observers_see_every_copy_once_in_the_positions_of_their_query(query):
    shown = []
    query.observe(lambda perturbation, prediction, clips: shown.append(clips.tolist()))
    query.select(torch.tensor([1, 3])).repeat(2).predict(torch.zeros(4, 3, dtype=torch.float64))
    assert shown == [[1, 3], [1, 3]]


@pytest.mark.parametrize("restarts", [2, 5])
def test_starts_of_a_member_are_searched_and_counted(query, restarts):
    found = {}
    for number in (1, restarts):
        attack = PGD(L2(1.0), steps=6, restarts=number)
        whole = query.select(torch.arange(CLIPS))
        worst = WorstCase(whole.objective, whole.x, whole.clean_prediction, whole.target)
        everyone = torch.arange(CLIPS)
        member, rng = Member(attack, whole.target), RandomStreams(3, everyone)
        run_member(whole, member, everyone, worst, rng, None)
        assert (whole.gradient_queries == 6 * number).all()
        found[number] = worst.value
    assert (found[restarts] >= found[1] - 1e-12).all()
    assert (found[restarts] > found[1] + 1e-3).any()


def test_an_attack_with_starts_finds_as_much_alone_as_in_an_ensemble(query):
    attack = PGD(Linf(0.5), steps=6, restarts=4)
    alone = attack(wavy, query.x, query.target, index=torch.arange(CLIPS))
    assert (alone.gradient_queries == 24).all()
