from __future__ import annotations

import pytest
import torch
from torch.utils.data import random_split

from steadyear.datamodules.tables.splits import Splits, named_splits, random_splits


def test_random_split_is_the_published_one() -> None:
    generator = torch.Generator().manual_seed(42)
    expected = random_split(range(360), [288, 36, 36], generator)
    split = random_splits(360, (0.8, 0.1, 0.1), 42)
    assert [list(part.indices) for part in expected] == list(split)


def test_random_split_covers_everything_once_and_depends_on_the_seed() -> None:
    first, second = (random_splits(33, (0.8, 0.1, 0.1), seed) for seed in (0, 1))
    assert sorted(first.train + first.val + first.test) == list(range(33))
    assert first != second


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1)])
def test_impossible_shares_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        random_splits(10, shares, 0)


def test_named_splits() -> None:
    assert named_splits(["test", "train", "val", "train"], "x") == Splits([1, 3], [2], [0])
    with pytest.raises(ValueError, match=r"fold of t\.csv .*'holdout'"):
        named_splits(["train", "holdout"], "fold of t.csv")


def test_clips_of_all_parts_in_order() -> None:
    assert Splits([5, 1], [2], [0]).clips == [0, 1, 2, 5]


def test_without_keeps_the_rest_in_place() -> None:
    assert Splits([3, 1], [2], [0]).without({3, 0}) == Splits([1], [2], [])
