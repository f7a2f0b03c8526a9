"""Augmentation of training batches: on waveforms in the loading processes, on spectrograms after."""

from datamodules.augmentation.chain import Chain
from datamodules.augmentation.masking import SpectrogramMasking
from datamodules.augmentation.mixing import MultilabelMix
from datamodules.augmentation.no_call import NoCall
from datamodules.augmentation.per_clip import PerClip

__all__ = ["Chain", "MultilabelMix", "NoCall", "PerClip", "SpectrogramMasking"]
