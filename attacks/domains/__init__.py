"""Domains: where a perturbation lives, if that is not the model's input itself."""

from steadyear.attacks.domains.base import Domain
from steadyear.attacks.domains.resynthesis import Realisation, realise
from steadyear.attacks.domains.semantic import SemanticBox
from steadyear.attacks.domains.spectrogram import SpectrogramDomain
from steadyear.attacks.domains.waveform import WaveformDomain

__all__ = [
    "Domain",
    "Realisation",
    "SemanticBox",
    "SpectrogramDomain",
    "WaveformDomain",
    "realise",
]
