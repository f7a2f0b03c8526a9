"""Looking for the sound behind an attacked spectrogram."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.attacks.signal.sizes import l2_norm, per_clip, snr_db

Map = Callable[[Tensor], Tensor]

_SHRINKS = 6  # of a step that goes too far, to a third each time
_ENVELOPE = 1025  # samples over which the loudness around a sample is taken


class Realisation(NamedTuple):
    """The sound that comes closest to an attacked spectrogram, as far as the search found it.

    Attributes:
        waveform: The sound, shape (batch, time).
        spectrogram: Its spectrogram in z-units, shape (batch, ...).
        gap: Distance from the wanted spectrogram over the size of the perturbation, shape (batch,):
            0 if a sound has the whole perturbation, 1 if there is nothing of it in any sound.
        snr_db: Clean waveform over its change in dB, shape (batch,).
    """

    waveform: Tensor
    spectrogram: Tensor
    gap: Tensor
    snr_db: Tensor


def realise(
    frontend: Map, waveform: Tensor, perturbation: Tensor, rounds: int = 3, steps: int = 20
) -> Realisation:
    """Search for waveforms whose spectrograms are the clean ones plus a perturbation.

    Frames overlap and bands share bins, so most perturbations of a spectrogram belong to no sound.
    The search is that of Gauss and Newton from the clean waveform, by conjugate gradients: it needs
    no inverse of the front end and no phase, and keeps the clean phase where nothing changes.
    It is local: what is found is an upper bound of the gap. Each clip is searched for itself. The
    loudness around a sample scales its change, so that pauses stay pauses.

    Args:
        frontend: Differentiable map from waveforms (batch, time) to spectrograms (batch, ...), clip by
            clip.
        waveform: Clean waveforms, shape (batch, time).
        perturbation: Wanted change of their spectrograms in z-units, shape (batch, ...).
        rounds: Number of times that the front end is taken for linear.
        steps: Steps of conjugate gradients in a round; each costs two gradients.

    Raises:
        ValueError: If the perturbation does not have the shape of the spectrograms.
    """
    with torch.inference_mode(False), torch.enable_grad():
        clean, wanted = waveform.detach().clone(), perturbation.detach().clone()
        scale = _loudness(clean)
        with torch.no_grad():
            start = frontend(clean)
        if start.shape != wanted.shape:
            raise ValueError(
                f"The perturbation is {tuple(wanted.shape)}, and the front end makes "
                f"{tuple(start.shape)} of these waveforms: they need one shape."
            )
        target = start + wanted.to(start)

        def analysed(change: Tensor) -> Tensor:
            return frontend(clean + scale * change)

        change = torch.zeros_like(clean)
        for _ in range(rounds):
            change = _improved(analysed, change, target, steps)
        with torch.no_grad():
            found = analysed(change)
    left, size = l2_norm(target - found), l2_norm(wanted).to(found)
    # A clip without a perturbation has nothing that could be missing.
    gap = torch.where(size > 0, left / size, 0.0)
    moved = scale * change
    return Realisation(clean + moved, found, gap, snr_db(clean, moved))


def _loudness(waveform: Tensor) -> Tensor:
    half = _ENVELOPE // 2
    power = F.avg_pool1d(waveform.square()[:, None], _ENVELOPE, 1, half, count_include_pad=False)
    return power[:, 0].sqrt()


def _improved(analysed: Map, change: Tensor, target: Tensor, steps: int) -> Tensor:
    """The change after one round; a clip for which it leads away keeps the one it had."""
    here = change.clone().requires_grad_()
    spectrogram = analysed(here)
    residual = (target - spectrogram).detach()
    best, step = l2_norm(residual), _least_squares(spectrogram, here, residual, steps)
    result = change
    for shrink in range(_SHRINKS):
        other = change + step / 3**shrink
        with torch.no_grad():
            left = l2_norm(target - analysed(other))
        wins = (left < best) & (result == change).all(1)
        result = torch.where(wins[:, None], other, result)
    return result


def _least_squares(output: Tensor, source: Tensor, wanted: Tensor, steps: int) -> Tensor:
    """The step whose first-order effect on ``output`` is nearest to ``wanted``.

    Conjugate gradients on the normal equations (Hestenes and Stiefel, 1952), clip by clip.
    """
    weights = torch.zeros_like(output).requires_grad_()
    (pulled,) = torch.autograd.grad(output, source, weights, create_graph=True)

    def back(effect: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(output, source, effect, retain_graph=True)
        return gradient

    def effect_of(change: Tensor) -> Tensor:
        # The pull is linear in its weights, and its transpose is the effect.
        (effect,) = torch.autograd.grad(pulled, weights, change, retain_graph=True)
        return effect

    tiny = torch.finfo(output.dtype).tiny
    step, left, gradient = torch.zeros_like(source), wanted, back(wanted)
    way, power = gradient, gradient.square().sum(1)
    for _ in range(steps):
        effect = effect_of(way)
        length = power / effect.flatten(1).square().sum(1).clamp_min(tiny)
        step = step + length[:, None] * way
        left = left - per_clip(length, left) * effect
        gradient = back(left)
        before, power = power, gradient.square().sum(1)
        way = gradient + (power / before.clamp_min(tiny))[:, None] * way
    return step
