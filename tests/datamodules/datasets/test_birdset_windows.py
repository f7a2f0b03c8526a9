"""What the batches of a data set of BirdSet hold, and what they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.datamodules.birdset_miniature import RATE, Make, epoch_of


def test_training_batches(make: Make) -> None:
    data = make()
    batch = next(iter(data.train_dataloader()))
    assert batch["waveform"].shape == (4, 5 * RATE)
    assert batch["target"].shape == (4, 3)
    assert {batch[key].dtype for key in ("waveform", "target")} == {torch.float32}
    for index, target in zip(batch["index"].tolist(), batch["target"], strict=True):
        recording = int(data.clip_ids[index].split(".")[0].removeprefix("XC"))
        assert target.tolist() == [float(recording % 3 == i) for i in range(3)]


def test_windows_lie_around_their_event_and_move_with_the_epoch(
    make: Make, miniature: Path
) -> None:
    data = make(class_limit=None, event_limit=None, val_share=0.0, batch_size=1)
    paths = {path.name: path for path in miniature.rglob("*.ogg")}
    starts: dict[str, set[int]] = {}
    for epoch in range(3):
        seen = epoch_of(data, epoch)
        for index, window in zip(seen["index"].tolist(), seen["waveform"], strict=True):
            name = data.clip_ids[index].split("#")[0]
            whole = torch.from_numpy(soundfile.read(paths[name], dtype="float32")[0])
            if len(whole) < 5 * RATE:
                torch.testing.assert_close(window[: len(whole)], whole)
                assert not window[len(whole) :].any()
                continue
            matches = (whole.unfold(0, 64, 1) == window[:64]).all(1).nonzero().flatten().tolist()
            assert len(matches) == 1
            assert torch.equal(whole[matches[0] : matches[0] + 5 * RATE], window)
            starts.setdefault(data.clip_ids[index], set()).add(matches[0])
    # Events early in the recording: the extended event is its first 8 s, the window starts in 0..3 s.
    assert all(0 <= min(found) <= max(found) <= 3 * RATE for found in starts.values())
    assert all(len(found) == 3 for found in starts.values())


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_and_repeat(make: Make, workers: int) -> None:
    def noise(batch: Any, generator: torch.Generator) -> Any:
        batch["waveform"] += torch.randn(batch["waveform"].shape, generator=generator)
        return batch

    data, same = (make(num_workers=n, waveform_augmentation=noise) for n in (workers, 0))
    for epoch in (1, 0):
        first, second = epoch_of(data, epoch), epoch_of(same, epoch)
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(epoch_of(same, 0)["waveform"], epoch_of(same, 1)["waveform"])
    assert not torch.equal(epoch_of(same, 0)["waveform"], epoch_of(make(seed=5), 0)["waveform"])
    quiet = next(iter(data.val_dataloader()))["waveform"]
    assert float(quiet.std()) < 0.2  # noise would have 1


def test_validation_windows_are_fixed_and_central(make: Make, miniature: Path) -> None:
    data = make(val_share=0.5)
    first, second = (list(data.val_dataloader()) for _ in range(2))
    assert all(
        torch.equal(a["waveform"], b["waveform"]) for a, b in zip(first, second, strict=True)
    )
    paths = {path.name: path for path in miniature.rglob("*.ogg")}
    for batch in first:
        for index, window in zip(batch["index"].tolist(), batch["waveform"], strict=True):
            whole, _ = soundfile.read(paths[data.clip_ids[index].split("#")[0]], dtype="float32")
            if len(whole) > 5 * RATE:  # the centre of the first 8 s starts at 1.5 s
                expected = torch.from_numpy(whole[round(1.5 * RATE) :][: 5 * RATE])
                assert torch.equal(window, expected)


def test_test_clips(make: Make, miniature: Path) -> None:
    data = make("test")
    (first, second) = list(data.test_dataloader())
    assert data.clip_ids[1] == "Recording_1_Segment_03_005_010.ogg"
    assert first["index"].tolist() + second["index"].tolist() == [0, 1, 2, 3, 4]
    assert torch.cat([first["target"], second["target"]]).tolist() == [
        [0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0],
    ]  # fmt: skip
    assert not second["waveform"][0, 2 * RATE :].any()
    assert second["waveform"][0, : 2 * RATE].any()
    # A start of 1 s is a start; one that is not a number is none.
    paths = {path.name: path for path in miniature.rglob("*.ogg")}
    for row, start in ((2, 0), (3, 1)):
        whole, _ = soundfile.read(paths[data.clip_ids[row]], dtype="float32")
        window = first["waveform"][row].numpy()
        np.testing.assert_array_equal(window[: (5 - start) * RATE], whole[start * RATE :])
