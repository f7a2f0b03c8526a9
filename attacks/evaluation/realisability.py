"""How much of an attack on spectrograms is left when it has to be a sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.result import AttackResult
from steadyear.attacks.core.views import Model, View
from steadyear.attacks.domains.resynthesis import Realisation, realise
from steadyear.attacks.objectives.base import Objective


@dataclass(frozen=True)
class RealisedAttack:
    """What an attack on spectrograms does, and what the nearest sounds do.

    Attributes:
        clean: Objective without attack, shape (batch,).
        attacked: Objective of the attacked spectrograms, shape (batch,).
        realised: Objective of the spectrograms of the sounds, shape (batch,).
        output: The model's output on those.
        sound: The sounds, how much of the perturbations they lack, and their SNR.
    """

    clean: Tensor
    attacked: Tensor
    realised: Tensor
    output: Any
    sound: Realisation


def realisability_gap(
    model: Model,
    frontend: nn.Module,
    result: AttackResult,
    waveform: Tensor,
    target: Tensor | None,
    objective: Objective,
    view: View | None = None,
) -> RealisedAttack:
    """Make the attacked spectrograms sounds, analyse them again, and measure.

    Args:
        model: The attacked model; it takes spectrograms.
        frontend: The model's map from waveforms (batch, time) to spectrograms (batch, ...).
        result: What the attack found; its tensors are spectrograms.
        waveform: Clean waveforms of the same clips, shape (batch, time).
        target: What the objective was measured against; ``None`` takes the clean prediction.
        objective: What the attack maximised.
        view: What the attack reads; ``None`` stands for the prediction.

    Raises:
        ValueError: If the attack did not perturb the spectrograms of these waveforms.
    """
    view = view or View()
    with attack_mode(model, waveform.device):
        sound = realise(frontend, waveform, result.perturbation)
        reference = objective.reference(view.read(result.clean_output), target)
        with torch.no_grad(), View(read_at=view.read_at).bind(model, sound.spectrogram) as bound:
            output = bound[0](sound.spectrogram.clone())
            realised = objective(view.read(output), reference)
    return RealisedAttack(result.clean_objective, result.objective, realised, output, sound)
