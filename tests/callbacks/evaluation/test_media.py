"""Pictures of attacks, and the flat form of the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from steadyear.attacks import FGSM, AttackResult, Linf
from steadyear.callbacks.evaluation.media import Media, flat_table, spectrogram_panels
from steadyear.callbacks.records.robustness_table import Condition
from steadyear.foundation.records import RecordMetadata


def result(clips, eps):
    return FGSM(Linf(eps))(
        torch.nn.Linear(4, 1), torch.arange(4.0 * clips).view(clips, 4), torch.zeros(clips, 1)
    )


def cell(name, budget):
    return Condition(name, FGSM(Linf(budget)), budget, "waveform")


@pytest.mark.parametrize("time_first", [False, True])
def test_panels_have_low_frequencies_at_the_bottom_and_time_from_left_to_right(time_first):
    clean = torch.zeros(5, 3)
    clean[0, 2] = 1.0
    change = torch.zeros(5, 3)
    change[4, 0] = -0.01
    if time_first:
        clean, change = clean.T, change.T
    picture = spectrogram_panels(clean, change, time_first).astype(int)
    assert picture.shape == (5, 3 * 3 + 2 * 4, 3)
    first, second, third = picture[:, :3], picture[:, 7:10], picture[:, 14:]
    brightest = np.unravel_index(first.sum(-1).argmax(), (5, 3))
    assert brightest == (4, 2)
    assert first.sum(-1).max() - first.sum(-1).min() > 600
    # The perturbation has a scale of its own: its largest value is fully blue, the rest white.
    red, _, blue = second[0, 0]
    assert blue > red + 50
    assert second[3, 1].min() > 230
    assert np.unravel_index(third.sum(-1).argmax(), (5, 3)) == (4, 2)
    assert (picture[:, 3:7] == 255).all()


def test_a_perturbation_of_zero_is_drawn():
    picture = spectrogram_panels(torch.zeros(2, 2), torch.zeros(2, 2), False)
    assert picture.shape == (2, 14, 3)


def test_media_keeps_the_first_clips_at_the_largest_budget():
    media = Media(3)
    for start in (0, 2, 4):
        for name in ("a", "b"):
            for budget in (0.1, 0.5):
                found: AttackResult = result(2, budget)
                media.add(cell(name, budget), found, torch.tensor([start, start + 1]))
    assert sorted(media.kept) == [(name, clip) for name in "ab" for clip in (0, 1, 2)]
    for kept, clean, perturbation in media.kept.values():
        assert kept.budget == 0.5
        assert perturbation.abs().max().item() == pytest.approx(0.5)
        assert clean.frac().abs().max() < 1e-5


def test_media_can_be_switched_off():
    media = Media(0)
    media.add(cell("a", 0.1), result(2, 0.1), torch.arange(2))
    assert media.kept == {}


def test_flat_table_names_targets_and_concepts():
    frame = pd.DataFrame(
        {
            "clip": ["x", "y"],
            "target": [[1.0, 2.0], [3.0, 4.0]],
            "clean_concepts": [[5.0], [6.0]],
            "clean_prediction": [[1.0, 2.0], [3.0, 4.0]],
            "snr_db": [None, None],
        }
    )
    flat = flat_table(frame, RecordMetadata(targets=["valence", "energy"], concepts=["minor"]))
    assert flat.to_dict("list") == {
        "clip": ["x", "y"],
        "target/valence": [1.0, 3.0],
        "target/energy": [2.0, 4.0],
        "clean_concepts/minor": [5.0, 6.0],
        "clean_prediction/valence": [1.0, 3.0],
        "clean_prediction/energy": [2.0, 4.0],
    }
    assert "target/1" in flat_table(frame, RecordMetadata())
