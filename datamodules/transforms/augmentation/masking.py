"""Masking of spectrograms (SpecAugment)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchaudio.transforms import FrequencyMasking, TimeMasking


class SpectrogramMasking:
    """Silences a band and a stretch of every linear power spectrogram, as BirdSet does.

    One coin per batch and kind of mask; place and width are drawn for every clip. The mask stands
    before the mel filters and the logarithm, so that it becomes the floor of the range in dB.

    Args:
        frequency_width: Largest width of the masked band, in bins of the Fourier transform.
        frequency_p: Probability that a batch is masked in frequency.
        time_width: Largest width of the masked stretch, in frames.
        time_p: Probability that a batch is masked in time.

    Raises:
        ValueError: If a probability is none, or a width is negative.
    """

    def __init__(
        self,
        frequency_width: int = 100,
        frequency_p: float = 0.5,
        time_width: int = 100,
        time_p: float = 0.3,
    ) -> None:
        if not (
            0 <= frequency_p <= 1 and 0 <= time_p <= 1 and min(frequency_width, time_width) >= 0
        ):
            raise ValueError("SpectrogramMasking needs probabilities and widths >= 0.")
        self.masks = [
            (frequency_p, FrequencyMasking(frequency_width, iid_masks=True)),
            (time_p, TimeMasking(time_width, iid_masks=True)),
        ]

    def __call__(self, power: Tensor, generator: torch.Generator) -> Tensor:
        """Mask spectrograms.

        Args:
            power: Linear power spectrograms, shape (batch, frequencies, frames).
            generator: Random numbers of the batch, on the CPU.
        """
        for p, mask in self.masks:
            chosen = float(torch.rand((), generator=generator)) < p
            seed = int(torch.randint(2**62, (), generator=generator))
            if chosen:
                # torchaudio draws from the global generator, which must not notice.
                with torch.random.fork_rng([power.device] if power.is_cuda else []):
                    torch.manual_seed(seed)
                    # Masks of its own for every clip need a channel dimension.
                    power = mask(power[:, None])[:, 0]
        return power
