"""Mixing clips of a batch: several birds sing at once."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.datamodules.batch import AudioBatch

_SILENCE = 1e-8


class MultilabelMix:
    """Adds other clips of the batch, and their labels, to a clip.

    The partner b of a clip x is added as rms(x) / 10^(SNR / 20) * b / rms(b), after a circular shift
    by a random offset; the labels are united. Settings of BirdSet; AudioProtoPNet has ``p`` 0.8 and
    ``max_partners`` 2. There, partners come only from the clips that are mixed themselves, and a
    clip may meet itself; here every other clip of the batch may be the partner.

    Args:
        p: Probability that a clip is mixed.
        min_snr_db: Smallest ratio of the clip to its partner in dB.
        max_snr_db: Largest ratio in dB.
        max_partners: Largest number of partners; the number is drawn for every clip.

    Raises:
        ValueError: If a setting is out of its range.
    """

    def __init__(
        self,
        p: float = 0.7,
        min_snr_db: float = 3.0,
        max_snr_db: float = 30.0,
        max_partners: int = 1,
    ) -> None:
        if not 0 <= p <= 1 or min_snr_db > max_snr_db or max_partners < 1:
            raise ValueError(
                "MultilabelMix needs 0 <= p <= 1, min_snr_db <= max_snr_db, max_partners >= 1."
            )
        self.p = p
        self.min_snr_db = min_snr_db
        self.max_snr_db = max_snr_db
        self.max_partners = max_partners

    def __call__(self, batch: AudioBatch, generator: torch.Generator) -> AudioBatch:
        """Mix clips of a batch.

        Args:
            batch: Waveforms (batch, time) and multi-hot targets (batch, classes).
            generator: Random numbers of the batch.
        """
        waveform, target = batch["waveform"], batch["target"]
        mixed, labels = waveform.clone(), target.clone()
        for clip in range(len(waveform)):
            if float(torch.rand((), generator=generator)) >= self.p:
                continue
            for partner in self._partners(clip, len(waveform), generator):
                mixed[clip] += self._scaled(waveform[clip], waveform[partner], generator)
                labels[clip] = torch.maximum(labels[clip], target[partner])
        return {**batch, "waveform": mixed, "target": labels}

    def _partners(self, clip: int, size: int, generator: torch.Generator) -> list[int]:
        count = int(torch.randint(1, self.max_partners + 1, (), generator=generator))
        others = torch.randperm(size - 1, generator=generator)[:count]
        return [int(other) + int(other >= clip) for other in others]

    def _scaled(self, clip: Tensor, partner: Tensor, generator: torch.Generator) -> Tensor:
        width = self.max_snr_db - self.min_snr_db
        snr_db = self.min_snr_db + width * float(torch.rand((), generator=generator))
        offset = int(torch.randint(len(partner), (), generator=generator))
        level = _rms(clip) / _rms(partner) / 10 ** (snr_db / 20)
        return level * partner.roll(offset)


def _rms(samples: Tensor) -> Tensor:
    return samples.square().mean().sqrt().clamp(min=_SILENCE)
