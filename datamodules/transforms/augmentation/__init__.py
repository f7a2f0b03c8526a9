"""Augmentation of training batches: on waveforms in the loading processes, on spectrograms after."""

from steadyear.datamodules.transforms.augmentation.chain import Chain
from steadyear.datamodules.transforms.augmentation.masking import SpectrogramMasking
from steadyear.datamodules.transforms.augmentation.mixing import MultilabelMix
from steadyear.datamodules.transforms.augmentation.no_call import NoCall
from steadyear.datamodules.transforms.augmentation.per_clip import PerClip

__all__ = ["Chain", "MultilabelMix", "NoCall", "PerClip", "SpectrogramMasking"]
