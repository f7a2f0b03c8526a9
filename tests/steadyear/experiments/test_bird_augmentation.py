"""The published seven augmentations of BirdSet, as configured, on training batches of the real program."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import audiomentations
import numpy as np
import pytest
import soundfile
import torch
import yaml
from lightning.pytorch import Callback

from steadyear.cli.lightning_cli import SteadyEarCLI, run
from steadyear.datamodules.transforms.augmentation import (
    Chain,
    MultilabelMix,
    NoCall,
    PerClip,
    SpectrogramMasking,
)
from tests.small_runs import working_in
from tests.steadyear.bird_data import RATE, write_birdset

ROOT = Path(__file__).resolve().parents[3]
BATCH, EPOCHS = 10, 2
TINY = {
    "model": {
        "init_args": {
            "network": {"init_args": {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8]}}
        }
    },
    "trainer": {
        "max_epochs": EPOCHS,
        "limit_val_batches": 0,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
    "callbacks": dict.fromkeys(("best", "last", "robustness", "predictions")),
    "logger": {"wandb": None},
}


class Watched:
    """An augmentation that remembers what it was given and what it made of it."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner = inner
        self.seen: list[tuple[Any, Any]] = []

    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        result = self.inner(batch, generator)
        self.seen.append((batch, result))
        return result


class WatchedMasks:
    """Masking that remembers the width of every mask; whole spectrograms would fill the memory."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner = inner
        self.shapes: set[tuple[int, ...]] = set()
        self.bands: list[list[int]] = []
        self.stretches: list[list[int]] = []
        self.only_silenced = True

    def __call__(self, power: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        result = self.inner(power, generator)
        self.shapes.add(tuple(power.shape))
        self.only_silenced &= bool(((result == power) | (result == 0)).all())
        for found, axis in ((self.bands, 2), (self.stretches, 1)):
            # Recordings shorter than the window end in silence, which is no mask.
            silent = (result == 0).all(axis) & ~(power == 0).all(axis)
            found.append(silent.sum(1).tolist())
        return result


class Kept(Callback):
    """Keeps the batches that the model is trained on."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches.append(batch)


class Program(SteadyEarCLI):
    """The program, with an eye on its augmentations."""

    kept: Kept

    def before_fit(self) -> None:
        data = self.datamodule
        data.waveform_augmentation.parts = [Watched(p) for p in data.waveform_augmentation.parts]
        data.spectrogram_augmentation = WatchedMasks(data.spectrogram_augmentation)
        self.kept = Kept()
        self.trainer.callbacks.append(self.kept)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The program after a short training on a data set in miniature."""
    folder = tmp_path_factory.mktemp("augmented")
    with working_in(folder):
        codes = [f"bird{i:02}" for i in range(21)]
        write_birdset(folder / "data" / "birdset" / "HSN", "HSN", codes, 63, 2)
        noise = folder / "data" / "birdset" / "dcase18" / "unpacked"
        noise.mkdir(parents=True)
        for number in range(2):
            samples = 0.05 * np.random.default_rng(number).standard_normal(6 * RATE)
            soundfile.write(noise / f"wind{number}.wav", samples, RATE)
        Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
        configs = ROOT / "configs"
        yield run(
            [
                *("fit", "--config", str(configs / "experiment/birdset/convnext.yaml")),
                *("--config", "tiny.yaml"),
                *("--data", str(configs / "data/birdset_augmented.yaml")),
                *("--data.num_workers", "0", "--data.batch_size", str(BATCH)),
                *("--data.stream", "both"),
            ],
            Program,
        )


def settings(part: object, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(part, name) for name in names)


def test_the_published_seven_with_their_parameters_in_their_order(trained):
    chain = trained.datamodule.waveform_augmentation
    assert type(chain) is Chain
    parts = [watched.inner for watched in chain.parts]
    kinds = [type(part.transform if isinstance(part, PerClip) else part) for part in parts]
    assert kinds == [
        MultilabelMix,
        audiomentations.AddBackgroundNoise,
        audiomentations.AddColorNoise,
        audiomentations.Gain,
        NoCall,
    ]
    mix, background, colour, gain, no_call = parts
    snr = ("p", "min_snr_db", "max_snr_db")
    assert settings(mix, *snr, "max_partners") == (0.7, 3, 30, 1)
    assert settings(background.transform, *snr, "noise_rms") == (0.5, 3, 30, "relative")
    assert settings(colour.transform, *snr) == (0.2, 3, 30)
    # Published are powers of the frequency from -2 to 2; a power of 2 is 6.02 dB per octave.
    octave = 20 * np.log10(2)
    decay = settings(colour.transform, "min_f_decay", "max_f_decay")
    assert decay == pytest.approx((-octave, octave), abs=1e-3)
    assert settings(gain.transform, "p", "min_gain_db", "max_gain_db") == (0.2, -18, 6)
    assert no_call.p == 0.075
    assert [part.sample_rate for part in parts[1:]] == [RATE] * 4
    masking = trained.datamodule.spectrogram_augmentation.inner
    assert type(masking) is SpectrogramMasking
    assert [(p, mask.mask_param, mask.iid_masks) for p, mask in masking.masks] == [
        (0.5, 100, True),
        (0.3, 100, True),
    ]


def changed(watched: Watched) -> tuple[int, int]:
    """Number of clips whose waveform was changed, and of all clips."""
    pairs = [(before["waveform"] != after["waveform"]).any(1) for before, after in watched.seen]
    flags = torch.cat(pairs)
    return int(flags.sum()), len(flags)


def test_each_acts_as_often_as_published_and_hands_on_to_the_next(trained):
    parts = trained.datamodule.waveform_augmentation.parts
    for before, after in pairwise(parts):
        handed = zip(before.seen, after.seen, strict=True)
        assert all(given is taken for (_, given), (taken, _) in handed)
    for watched, p in zip(parts, (0.7, 0.5, 0.2, 0.2, 0.075), strict=True):
        count, clips = changed(watched)
        assert clips >= EPOCHS * 5 * BATCH - BATCH
        assert abs(count / clips - p) < 3 * np.sqrt(p * (1 - p) / clips), watched.inner


def test_labels_are_united_by_mixing_and_lost_without_a_call(trained):
    mix, *_, no_call = trained.datamodule.waveform_augmentation.parts
    for before, after in mix.seen:
        assert (after["target"] >= before["target"]).all()
        assert set(after["target"].sum(1).tolist()) <= {1.0, 2.0}
    emptied = [
        (after["target"].sum(1) == 0) == (before["waveform"] != after["waveform"]).any(1)
        for before, after in no_call.seen
    ]
    assert torch.cat(emptied).all()


def test_the_model_trains_on_what_the_augmentations_gave(trained):
    last = trained.datamodule.waveform_augmentation.parts[-1].seen
    batches = trained.kept.batches
    assert len(batches) == len(last) == len(trained.datamodule.spectrogram_augmentation.bands)
    for batch, (_, given) in zip(batches, last, strict=True):
        assert torch.equal(batch["waveform"], given["waveform"])
        assert torch.equal(batch["target"], given["target"])
        assert batch["spectrogram"].shape == (BATCH, 1, 256, 626)
        assert bool(batch["spectrogram"].isfinite().all())


def test_masks_silence_bands_and_stretches_of_the_linear_power(trained):
    masking = trained.datamodule.spectrogram_augmentation
    assert masking.shapes == {(BATCH, 1025, 626)}
    assert masking.only_silenced
    for batches, p in ((masking.bands, 0.5), (masking.stretches, 0.3)):
        masked = [widths for widths in batches if any(widths)]
        assert max(max(widths) for widths in masked) < 100
        # One coin for a batch, a width for every clip.
        assert any(len(set(widths)) > 3 for widths in masked)
        share = len(masked) / len(batches)
        assert abs(share - p) < 3 * np.sqrt(p * (1 - p) / len(batches))
