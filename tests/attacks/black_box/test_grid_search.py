"""Grid and random search over a few dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from steadyear.attacks import L2, Linf
from steadyear.attacks.black_box.grid_search import GridSearch
from steadyear.attacks.black_box.random_search import RandomSearch

PEAKS = torch.tensor([[0.5, -0.25], [-0.5, 0.5], [0.31, 0.12]])
TARGET = torch.zeros(3, 1)


def hills(x: Tensor) -> Tensor:
    """A hill at each clip's peak; the third column of a clip says which clip it is."""
    clip = x[:, 2].round().long()
    return torch.exp(-8 * (x[:, :2] - PEAKS[clip]).square().sum(1, keepdim=True))


class Planted:
    """The hills as a function of the first two values only."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.exp(-8 * (x - PEAKS[: len(x)]).square().sum(1, keepdim=True))


def test_a_grid_finds_the_planted_optimum() -> None:
    result = GridSearch(Linf(1.0), points=9)(Planted(), torch.zeros(3, 2), TARGET)
    torch.testing.assert_close(result.adversarial[:2], PEAKS[:2])
    # The third peak lies between the points: the nearest one is taken.
    torch.testing.assert_close(result.adversarial[2], torch.tensor([0.25, 0.0]))
    assert (result.forward_queries == 81 + 1).all()
    assert (result.gradient_queries == 0).all()


def test_refinement_ascends_from_the_grid() -> None:
    coarse = GridSearch(Linf(1.0), points=5)(Planted(), torch.zeros(3, 2), TARGET)
    fine = GridSearch(Linf(1.0), points=5, refine=True, steps=20)(
        Planted(), torch.zeros(3, 2), TARGET
    )
    assert (fine.objective >= coarse.objective).all()
    assert fine.objective[2] > coarse.objective[2] + 0.05
    assert (fine.adversarial - PEAKS).abs().max() < 0.05
    assert (fine.gradient_queries == 20).all()


def test_a_grid_in_a_round_ball_stays_inside() -> None:
    result = GridSearch(L2(0.4), points=5)(Planted(), torch.zeros(3, 2), TARGET)
    assert (result.size <= 0.4 + 1e-6).all()
    assert (result.objective > result.clean_objective).all()


@pytest.mark.parametrize(
    "attack",
    [GridSearch(Linf(0.0)), GridSearch(Linf(0.0), refine=True), RandomSearch(Linf(0.0), tries=3)],
)
def test_a_budget_of_nothing_changes_nothing(attack) -> None:
    assert (attack(Planted(), torch.zeros(3, 2), TARGET).perturbation == 0).all()


@pytest.mark.parametrize(
    "attack", [GridSearch(Linf(1.0), points=4), RandomSearch(Linf(1.0), tries=4)]
)
def test_what_is_found_is_never_less_than_the_clean_clip_or_the_start(attack) -> None:
    # The peak itself, which an even grid and a few tries cannot hit.
    there = attack(Planted(), PEAKS.clone(), TARGET)
    assert torch.equal(there.adversarial, PEAKS)
    begun = attack(Planted(), torch.zeros(3, 2), TARGET, start=PEAKS)
    torch.testing.assert_close(begun.objective, torch.ones(3))


@pytest.mark.parametrize(("dimensions", "points"), [(5, 2), (4, 11), (2, 101), (100_000, 5)])
def test_large_grids_are_refused(dimensions, points) -> None:
    attack = GridSearch(Linf(1.0), points=points)
    with pytest.raises(ValueError, match=f"each of {dimensions} dimensions is too large"):
        attack(lambda x: x.mean(1, keepdim=True), torch.zeros(2, dimensions), torch.zeros(2, 1))


def test_impossible_settings_are_refused() -> None:
    for make in (
        lambda: GridSearch(Linf(1.0), points=1),
        lambda: GridSearch(Linf(1.0), steps=0),
        lambda: RandomSearch(Linf(1.0), tries=0),
    ):
        with pytest.raises(ValueError, match="at least"):
            make()


def test_random_search_looks_inside_and_keeps_clips_apart() -> None:
    x, index = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]]), torch.arange(3)
    search = RandomSearch(Linf(0.45), tries=200)
    together = search(hills, x, TARGET, index=index)
    assert (together.objective > 0.7).all()
    alone = search(hills, x[1:2], TARGET[:1], index=index[1:2])
    assert torch.equal(together.adversarial[1:2], alone.adversarial)
    # More tries never find less: the first ones are the same.
    fewer = RandomSearch(Linf(0.45), tries=20)(hills, x, TARGET, index=index)
    assert (together.objective >= fewer.objective).all()
