"""Clips without any bird."""

from __future__ import annotations

from pathlib import Path

import soundfile
import torch

from steadyear.datamodules.batch import AudioBatch
from steadyear.datamodules.paths import expand_path
from steadyear.datamodules.sources.windows import WindowRule, read_window

_ENDINGS = {f".{ending.lower()}" for ending in soundfile.available_formats()} | {".oga"}


class NoCall:
    """Replaces clips by noise without birds, and their labels by none.

    Args:
        folder: Recordings without birds, such as the ``dcase18`` files of BirdSet; sub-folders are
            searched, too.
        p: Probability that a clip is replaced.
        sample_rate: Sampling rate of the waveforms in Hz.

    Raises:
        FileNotFoundError: If the folder has no audio file.
        ValueError: If ``p`` is no probability.
    """

    def __init__(self, folder: str, p: float = 0.075, sample_rate: int = 32000) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, not {p:g}.")
        root = expand_path(folder)
        self.files = sorted(path for path in root.rglob("*") if path.suffix.lower() in _ENDINGS)
        if not self.files:
            raise FileNotFoundError(
                f"There is no audio file in {root}: NoCall needs recordings without birds there."
            )
        self.p = p
        self.sample_rate = sample_rate

    def __call__(self, batch: AudioBatch, generator: torch.Generator) -> AudioBatch:
        """Replace clips of a batch.

        Args:
            batch: Waveforms (batch, time) and multi-hot targets (batch, classes).
            generator: Random numbers of the batch.
        """
        waveform, target = batch["waveform"].clone(), batch["target"].clone()
        for clip in range(len(waveform)):
            if float(torch.rand((), generator=generator)) < self.p:
                waveform[clip] = self._noise(waveform.shape[1], generator)
                target[clip] = 0.0
        return {**batch, "waveform": waveform, "target": target}

    def _noise(self, samples: int, generator: torch.Generator) -> torch.Tensor:
        file: Path = self.files[int(torch.randint(len(self.files), (), generator=generator))]
        draw = float(torch.rand((), generator=generator))
        seconds = samples / self.sample_rate
        rule = WindowRule(seconds, extension=0.0)

        def anywhere(duration: float) -> tuple[float, float]:
            return rule.random(0.0, duration, duration, draw)

        return read_window(file, anywhere, seconds, self.sample_rate)[:samples]
