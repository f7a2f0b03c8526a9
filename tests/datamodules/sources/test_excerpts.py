from __future__ import annotations

import numpy as np
import pytest
import torch

from steadyear.datamodules.sources.excerpts import central_start, cut, fixed_start, random_start


def test_cut_takes_the_window_along_the_dimension_of_time() -> None:
    values = np.arange(24).reshape(6, 4)
    np.testing.assert_array_equal(cut(values, 2, 3, -2), values[2:5])
    np.testing.assert_array_equal(cut(values, 1, 2, -1), values[:, 1:3])


def test_short_clip_is_repeated_from_its_start() -> None:
    np.testing.assert_array_equal(cut(np.array([1, 2, 3]), 0, 8), [1, 2, 3, 1, 2, 3, 1, 2])


def test_waveform_that_ends_early_is_padded() -> None:
    np.testing.assert_array_equal(cut(np.array([1, 2, 3, 4]), 2, 3), [3, 4, 0])


def test_cut_copies() -> None:
    values = np.zeros(4)
    cut(values, 0, 2)[:] = 1
    assert values.sum() == 0


def test_random_starts_cover_exactly_the_allowed_range() -> None:
    starts = {random_start(13, 10, seed=0, epoch=epoch, clip=0) for epoch in range(200)}
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("change", [{"seed": 2}, {"epoch": 2}, {"clip": 2}])
def test_random_start_depends_on_seed_epoch_and_clip(change: dict[str, int]) -> None:
    base = {"seed": 1, "epoch": 1, "clip": 1}
    first = random_start(10**6, 10, **base)
    assert first == random_start(10**6, 10, **base)
    assert first != random_start(10**6, 10, **{**base, **change})


def test_fixed_starts_are_successive_draws_of_one_generator() -> None:
    totals = [*range(5, 400, 7), 2**20]
    generator = torch.Generator().manual_seed(42)
    expected = [
        int(torch.randint(0, max(total, 10) - 9, (1,), generator=generator)) for total in totals
    ]
    assert [fixed_start(total, 10, 42, clip) for clip, total in enumerate(totals)] == expected
    assert fixed_start(2**20, 10, 42, 3) != fixed_start(2**20, 10, 43, 3)


def test_starts_of_short_clips_are_zero() -> None:
    assert random_start(5, 10, 0, 0, 0) == central_start(5, 10) == fixed_start(5, 10, 0, 3) == 0
    assert central_start(20, 10) == 5
