"""Attacks as changes of waveforms, wherever their perturbations live."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from steadyear.attacks import AttackResult, View


def as_waveform(result: AttackResult, view: View, x: Tensor, domain: str) -> AttackResult | None:
    """The result with the waveforms that the module was given, or ``None`` where there are none.

    Args:
        result: What an attack found, in the domain of its view.
        view: Where the attack perturbed.
        x: The module's clean input, shape (batch, ...).
        domain: What that input is called; only a ``waveform`` can be played.
    """
    if domain != "waveform" or view.perturb_at is not None:
        return None
    if view.domain is None:
        return result
    with torch.no_grad():
        attacked = view.rendered(result.adversarial, x)
    if attacked.shape != x.shape:
        return None  # a spectrogram
    return replace(result, adversarial=attacked, perturbation=attacked - x)
