"""Domains: where a perturbation lives, if that is not the model's input itself."""

from attacks.domains.base import Domain
from attacks.domains.resynthesis import Realisation, realise
from attacks.domains.semantic import SemanticBox
from attacks.domains.spectrogram import SpectrogramDomain
from attacks.domains.waveform import WaveformDomain

__all__ = [
    "Domain",
    "Realisation",
    "SemanticBox",
    "SpectrogramDomain",
    "WaveformDomain",
    "realise",
]
