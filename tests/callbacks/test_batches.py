"""Finding input and target in anybody's batch."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from steadyear.callbacks import BatchKeys
from steadyear.callbacks.batches import clip_index

X, Y, OTHER = torch.zeros(2), torch.ones(2), torch.full((2,), 5.0)


class Pair(NamedTuple):
    sound: torch.Tensor
    label: torch.Tensor


BATCHES = {
    "tuple": ((X, Y), BatchKeys()),
    "list": ([Y, OTHER, X], BatchKeys(2, 0)),
    "named": (Pair(X, Y), BatchKeys()),
    "ours": ({"target": Y, "waveform": X}, BatchKeys()),
    "spectrogram first": ({"target": Y, "waveform": OTHER, "spectrogram": X}, BatchKeys()),
    "theirs": ({"label": Y, "sound": X}, BatchKeys("sound", "label")),
}


@pytest.mark.parametrize("name", BATCHES)
def test_read_and_replace(name):
    batch, keys = BATCHES[name]
    assert keys.read(batch)[0] is X
    assert keys.read(batch)[1] is Y
    changed = keys.replace(batch, OTHER)
    assert type(changed) is type(batch)
    assert len(changed) == len(batch)
    assert keys.read(changed)[0] is OTHER
    assert keys.read(changed)[1] is Y
    assert keys.read(batch)[0] is X


@pytest.mark.parametrize(
    ("batch", "keys", "message"),
    [
        ({"sound": X, "target": Y}, BatchKeys(), r"no spectrogram or waveform.*sound.*keys\.input"),
        ({"waveform": X}, BatchKeys(), r"no target.*keys\.target"),
        ({"waveform": X, "target": Y}, BatchKeys("sound"), r"no sound.*waveform"),
        ((X,), BatchKeys(), r"No target at 1.*tuple"),
        ((X, Y), BatchKeys("sound"), "No input at 'sound'"),
        (X, BatchKeys(), "batch of type Tensor"),
    ],
)
def test_what_is_missing_is_named(batch, keys, message):
    with pytest.raises(ValueError, match=message):
        keys.read(batch)


def test_clip_numbers_are_read_from_mappings_only():
    assert clip_index({"index": Y}) is Y
    assert clip_index({"target": Y}) is None
    assert clip_index((X, Y)) is None
